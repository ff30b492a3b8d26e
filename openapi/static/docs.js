"use strict";

// Looking comes before making, changing and removing.
const methods = ["get", "post", "put", "patch", "delete"];
const byPathAndMethod = (a, b) =>
  a.get("path").localeCompare(b.get("path")) || methods.indexOf(a.get("method")) - methods.indexOf(b.get("method"));

// SwaggerUIBundle is Swagger UI's own file, loaded before this one. Nothing is
// asked of any other host: no validator, no settings from the address.
SwaggerUIBundle({
  url: "openapi.json",
  domNode: document.getElementById("docs"),
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  deepLinking: true,
  displayOperationId: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  docExpansion: "list",
  filter: true,
  operationsSorter: byPathAndMethod,
  persistAuthorization: false,
  queryConfigEnabled: false,
  requestSnippetsEnabled: true,
  showExtensions: true,
  validatorUrl: null,
});
