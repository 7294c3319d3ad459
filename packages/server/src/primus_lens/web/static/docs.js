// The API page: Swagger UI over this server's own description, and nothing from elsewhere.
const { SwaggerUIBundle } = /** @type {any} */ (window);
const dark = document.documentElement.dataset.theme
  ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
document.documentElement.classList.toggle("dark-mode", dark === "dark");

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  validatorUrl: null, // the default asks a public service
  presets: [SwaggerUIBundle.presets.apis],
});
