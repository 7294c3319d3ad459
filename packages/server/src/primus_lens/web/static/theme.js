// Loaded before the first paint, so a dark page never flashes white. Not a module for that reason.
(() => {
  const stored = localStorage.getItem("primus-lens-theme");
  if (stored === "dark" || stored === "light") document.documentElement.dataset.theme = stored;
})();

// A page whose modules did not arrive, because the server went meanwhile, would stay empty without a word.
addEventListener("error", (event) => {
  if (!(event.target instanceof HTMLScriptElement)) return;
  const note = document.createElement("p");
  note.className = "empty";
  note.setAttribute("role", "alert");
  const again = Object.assign(document.createElement("a"), { href: location.href, textContent: "Load it again" });
  note.append("This page did not arrive whole: the server did not answer. ", again);
  const tell = () => document.body.replaceChildren(note);
  if (document.body) tell();
  else addEventListener("DOMContentLoaded", tell);
}, true);
