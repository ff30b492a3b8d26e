package main

// deleteFlags are the flags of jetstream send for removing what was sent.
type deleteFlags struct {
	DeleteSource bool `name:"delete-source" help:"Remove each source file once the transfer is complete, if it has not changed meanwhile; directories stay. With --conflict changed, what is at the receiver already goes only if its digest is equal, as with --checksum."`
}

// add puts the flags into a request of send.createTransfer.
func (f deleteFlags) add(request map[string]any) { request["deleteSource"] = f.DeleteSource }
