package transfer

// Engine keeps destinations, manifests and sent transfers. Safe for concurrent use.
type Engine struct{}
