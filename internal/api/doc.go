// Package api defines what all packages of JetStream share: commands and their
// registry, replies, errors, the caller, and the formats of times and ids. It
// imports no other package of this module and no net/http.
//
// A command is declared once, beside the function that handles it:
//
//	api.Define(api.Spec{Name: "send.createManifest", Method: "POST", Path: "/send/manifests", Status: 201,
//		Summary: "Start building a manifest", Message: "Manifest requested."}, h.createManifest)
//
// The REST route, the command envelope, the OpenAPI operation, the `jetstream
// api` subcommand and the on.send.createManifest trigger are made from that one
// value.
package api

// ControlPort is the default port of the control API.
const ControlPort = 8886
