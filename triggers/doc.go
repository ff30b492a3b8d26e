// Package triggers runs the operator's scripts on events. Events are declared
// once (Define) and queued durably in the transaction that causes them. The
// Engine runs the queued scripts and keeps a record of each run. For the
// contract see the chapter on triggers of the manual.
package triggers
