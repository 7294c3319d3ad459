// The API page: Swagger UI over this server's own description, and nothing from elsewhere.
export {}; // a module, which may await

const { SwaggerUIBundle } = /** @type {any} */ (window);
const dark = document.documentElement.dataset.theme
  ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
document.documentElement.classList.toggle("dark-mode", dark === "dark");

const answer = await fetch("/openapi.json");
if (answer.status === 401) {
  const link = Object.assign(document.createElement("a"), { href: "/", textContent: "Sign in" });
  document.getElementById("docs")?.replaceChildren(link, " to see the description of the API.");
} else SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  validatorUrl: null, // the default asks a public service
  presets: [SwaggerUIBundle.presets.apis],
});
