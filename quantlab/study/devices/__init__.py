"""Rows of runtimes on another device, added to a study: outputs, layers and costs."""

from quantlab.study.devices.measure import DeviceOptions, DevicePlace, measure_on_device
from quantlab.study.devices.rows import with_device_costs, with_device_layers

__all__ = ["DeviceOptions", "DevicePlace", "measure_on_device", "with_device_costs", "with_device_layers"]
