// Package e2e tests the plugin in a real Traefik, and the documents against what they describe.
//
//   - who gets in: access, tabs, options, log, attack, crosssite
//   - programs with a key: keys, keyprograms
//   - services that read paths in their own ways: services, rewrites
//   - Organizr's files: files, database, reload, writeload
//   - a real Organizr beside the plugin: agreement, agreementontabs, tabeditor, boundsessions, forwardauth, firststart
//   - real browsers: browser, firefox, provider
//   - what passes through Traefik, and what reads its log: transport, fail2ban
//   - a real Docker engine: docker, life, evening, swarm, recipesindocker, athomeindocker, pitfallsindocker
//   - the documents: readme, recipes, compose, staticconfig, keyvalue, kubernetes, catalog
//   - the plugin's own tests and its cost under Yaegi: unittests, allocations, benchmark
//
// Helpers that belong to none of these subjects are in helpers_test.go.
package e2e
