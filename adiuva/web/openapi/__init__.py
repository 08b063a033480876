"""The OpenAPI 3.1 document, made of the routes and classes that serve the requests, and the page that shows it."""
