package server

import (
	"testing"

	"jetstream/internal/api"
)

func TestObserverIsMountedByItsFlagOnly(t *testing.T) {
	mounted := func(on bool) int {
		s := &Server{o: Options{TriggerOnAPI: on}}
		return len(s.observers(api.NewRegistry()))
	}
	if without, with := mounted(false), mounted(true); with != without+1 {
		t.Errorf("%d observers are mounted without TriggerOnAPI and %d with it, want one more", without, with)
	}
}
