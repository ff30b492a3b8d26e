package middleware

import "net/http"

// holdBack is a ResponseWriter that calls a hook once, before the first byte of
// the reply goes out.
type holdBack struct {
	http.ResponseWriter
	hook   beforeReply
	called bool
}

type beforeReply interface{ beforeReply() }

// release calls the hook, unless that was done. Whoever has called a handler
// must call it at the end, for a handler that wrote nothing.
func (w *holdBack) release() {
	if !w.called {
		w.called = true // first: a hook that panics is not called again
		w.hook.beforeReply()
	}
}

func (w *holdBack) WriteHeader(status int) {
	w.release()
	w.ResponseWriter.WriteHeader(status)
}

func (w *holdBack) Write(b []byte) (int, error) {
	w.release()
	return w.ResponseWriter.Write(b)
}

// FlushError is what http.ResponseController.Flush calls.
func (w *holdBack) FlushError() error {
	w.release()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController set deadlines.
func (w *holdBack) Unwrap() http.ResponseWriter { return w.ResponseWriter }
