// Package e2e tests the plugin in a real Traefik, and the documents against what they describe.
//
//   - who gets in: access, options, log, attack, crosssite
//   - Organizr's files: files, database, reload
//   - a real Organizr beside the plugin: agreement, firststart
//   - a real browser at the demo: browser
//   - what passes through Traefik: transport
//   - a real Docker engine: docker, life, evening, swarm, recipesindocker, athomeindocker, pitfallsindocker
//   - the documents: readme, recipes, compose, staticconfig, keyvalue, kubernetes, catalog
//   - the plugin's own tests and its cost under Yaegi: unittests, allocations, benchmark
//
// Helpers that belong to none of these subjects are in helpers_test.go.
package e2e
