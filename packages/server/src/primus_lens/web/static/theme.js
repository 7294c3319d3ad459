// Loaded before the first paint, so a dark page never flashes white. Not a module for that reason.
(() => {
  const stored = localStorage.getItem("primus-lens-theme");
  if (stored === "dark" || stored === "light") document.documentElement.dataset.theme = stored;
})();
