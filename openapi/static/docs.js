"use strict";

// SwaggerUIBundle is Swagger UI's own file, loaded before this one. Nothing is
// asked of any other host: no validator, no settings from the address.
SwaggerUIBundle({
  url: "/openapi.json",
  domNode: document.getElementById("docs"),
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  deepLinking: true,
  displayOperationId: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  docExpansion: "list",
  filter: true,
  persistAuthorization: false,
  queryConfigEnabled: false,
  requestSnippetsEnabled: true,
  showExtensions: true,
  validatorUrl: null,
});
