package server

import (
	"context"

	"jetstream/handlers"
	"jetstream/internal/api"
	"jetstream/internal/bandwidth"
	"jetstream/triggers"
)

// Reload implements handlers.Server.
func (s *Server) Reload(ctx context.Context) (handlers.Reloaded, error) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	defer s.notify.reloading(s.status())()
	result := handlers.Reloaded{Changed: []handlers.SettingChange{}}
	install := func() {}
	if s.certificate != nil {
		var err error
		if install, err = s.certificate.renew(); err != nil {
			return result, s.notReloaded(ctx, api.Errorf(api.CodeInvalid, "the certificate %s cannot be used: %v", s.o.TLSCert, err))
		}
	}
	if s.o.Reload != nil {
		changed, err := s.o.Reload(ctx, s)
		if err != nil {
			return result, s.notReloaded(ctx, err)
		}
		result.Changed = append(result.Changed, changed...)
	}
	install()
	for _, c := range result.Changed {
		s.log.InfoContext(ctx, "a setting has changed", "setting", c.Setting, "from", c.From, "to", c.To, "needsRestart", c.NeedsRestart)
	}
	s.log.InfoContext(ctx, "the settings were read again", "changed", len(result.Changed))
	if err := s.ReopenAuditLog(); err != nil {
		return result, api.Errorf(api.CodeUnavailable, "the settings were read again, but the audit log cannot be opened again: %v", err)
	}
	return result, nil
}

func (s *Server) notReloaded(ctx context.Context, err error) error {
	s.log.ErrorContext(ctx, "the settings stay as they were", "error", err)
	return err
}

// Apply applies the options that may change while the server runs: Bandwidth and the
// limits of triggers. After an error all are as before. Only Options.Reload may call
// it.
func (s *Server) Apply(ctx context.Context, o Options) error {
	if err := o.Check(); err != nil {
		return err
	}
	if o.Bandwidth != s.bandwidthGiven {
		if err := s.link.Fix(ctx, fixed(o.Bandwidth)); err != nil {
			return err
		}
		s.bandwidthGiven = o.Bandwidth
	}
	s.triggers.SetLimits(triggers.Limits{
		Timeout: o.TriggerTimeout, Grace: o.TriggerGrace, ShutdownGrace: o.ShutdownGrace,
		Keep: o.TriggerKeep, QueueMax: o.TriggerQueueMax, QueueBytes: o.TriggerQueueBytes,
	})
	return nil
}

// fixed returns the limits that were given; nil if none were.
func fixed(given bandwidth.Limits) *bandwidth.Limits {
	if given == (bandwidth.Limits{}) {
		return nil
	}
	return &given
}
