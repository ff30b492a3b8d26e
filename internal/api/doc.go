// Package api is the vocabulary that every room of JetStream shares: what a
// command is, what a reply and an error look like, who is calling, and how
// times and ids are written. It imports no other room and no net/http.
//
// A command is declared once, beside the function that carries it out:
//
//	api.Define(api.Spec{Name: "send.createManifest", Method: "POST", Path: "/send/manifests", Status: 201,
//		Summary: "Start building a manifest", Message: "Manifest requested."}, h.createManifest)
//
// From that one value come the REST route, the command envelope, the OpenAPI
// operation, the `jetstream api` subcommand and the on.send.createManifest
// trigger.
package api

// ControlPort is the port of the control API where nobody chose another.
const ControlPort = 8886
