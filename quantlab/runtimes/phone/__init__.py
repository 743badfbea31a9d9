"""The runtimes `phone-*`: variants run in the browser of the user's phone, which opens a page of `quantlab phone`.

```text
study ─ child (proxy.py) ─ Unix socket ─ channel.py ─ desk.py ─ server.py ─ HTTP ─ the phone's page (js/phone.mjs),
                                                                       and in it a frame for each job (js/browser.mjs)
```

The page runs one job at a time, each in a new frame, which frees the memory of the one before. It may be closed,
reloaded or frozen at any moment: the desk sends the unfinished job again from the last batch that was written.
"""

from quantlab.runtimes.phone.device import Device
from quantlab.runtimes.phone.network import local_addresses, write_certificate
from quantlab.runtimes.phone.place import Phone, PhonePlace, on_phones, runtimes_on
from quantlab.runtimes.phone.tasks import Patience

__all__ = [
    "Device",
    "Patience",
    "Phone",
    "PhonePlace",
    "local_addresses",
    "on_phones",
    "runtimes_on",
    "write_certificate",
]
