// Package triggers runs the operator's scripts when something happens: events
// are declared once (Define), saved in a durable queue within the transaction
// that caused them, run one at a time by the Engine, and each run leaves a
// record. The contract is the manual's chapter on triggers.
package triggers
