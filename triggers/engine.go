package triggers

// Engine keeps the queue and runs the scripts. Safe for concurrent use.
type Engine struct{}
