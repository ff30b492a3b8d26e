package receiver

// ObserveSteps makes the receiver call f at each step of finish. It must be
// called before Serve.
func (r *Receiver) ObserveSteps(f func(step, name string)) { r.observe = f }
