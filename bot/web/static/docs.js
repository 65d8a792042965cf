// The viewer of the API's schema that the page asks for.
"use strict";
const viewer = document.getElementById("viewer");
if (viewer.dataset.viewer === "swagger") {
  SwaggerUIBundle({ url: viewer.dataset.schema, domNode: viewer, deepLinking: true, docExpansion: "list" });
} else {
  Redoc.init(viewer.dataset.schema, { disableSearch: false, hideDownloadButton: false }, viewer);
}
