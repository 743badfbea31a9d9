// A classic script, because browsers load no modules from file://.
(function () {
  var stored;
  try { stored = localStorage.getItem('quantlab-colours'); } catch (error) { stored = null; }
  if (stored) document.documentElement.dataset.colours = stored;
  document.addEventListener('DOMContentLoaded', function () {
    if (location.protocol !== 'file:') return;
    document.getElementById('from-file').hidden = false;
    document.getElementById('model').hidden = true;
    document.getElementById('offline').hidden = true;
    document.getElementById('colours').hidden = true;
  });
}());
