// Package ext holds the extension points that Traefik compiles into its dynamic configuration.
// Traefik keeps them in a module inside its own repository, which no module proxy serves.
// In the open-source build both types are empty.
package ext

// HTTP extends the HTTP part of the dynamic configuration.
type HTTP struct{}

// Router extends a router of the dynamic configuration.
type Router struct{}
