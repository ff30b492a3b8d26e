package receiver

// ObserveSteps calls f at each step of giving received files their names; to
// be called before Serve.
func (r *Receiver) ObserveSteps(f func(step, name string)) { r.observe = f }
