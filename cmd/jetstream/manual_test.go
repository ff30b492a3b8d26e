package main

import (
	"reflect"
	"testing"

	"jetstream/internal/api"
)

func TestDefaultsOfTheTriggerFlags(t *testing.T) {
	flags := map[string]string{}
	for f := range reflect.TypeFor[serverCmd]().Fields() {
		flags[f.Tag.Get("name")] = f.Tag.Get("default")
	}
	for name, want := range map[string]string{
		"trigger-dir": "", "trigger-on-api": "", "trigger-log": "", "trigger-timeout": "0s", "trigger-grace": "5s", "trigger-keep": "10000",
		"trigger-order": "global", "trigger-concurrency": "4", "trigger-queue-max": "100000", "trigger-env": "", "shutdown-grace": "30s",
	} {
		if got, ok := flags[name]; !ok || got != want {
			t.Errorf("--%s is %q by default (%t), want %q", name, got, ok, want)
		}
	}
}

func TestObserverIsMountedByItsFlagOnly(t *testing.T) {
	mounted := func(on bool) int {
		s := &server{c: &serverCmd{TriggerOnAPI: on}}
		return len(s.observers(api.NewRegistry()))
	}
	if without, with := mounted(false), mounted(true); with != without+1 {
		t.Errorf("%d observers are mounted without --trigger-on-api and %d with it, want one more", without, with)
	}
}
