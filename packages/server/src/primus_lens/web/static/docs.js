// The API page: Swagger UI over this server's own description, and nothing from elsewhere.
window.SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  validatorUrl: null, // the default asks a public service
  presets: [window.SwaggerUIBundle.presets.apis],
});
