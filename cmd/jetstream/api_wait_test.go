package main

import "testing"

// TestWhatWasWaitedForDecidesTheExitStatus: error and cancelled are failures;
// complete, and what has not ended in time, are none.
func TestWhatWasWaitedForDecidesTheExitStatus(t *testing.T) {
	for result, want := range map[string]string{
		`{"status":"complete","errorMessage":""}`:               "",
		`{"status":"complete","errorMessage":"times not kept"}`: "",
		`{"status":"pending","errorMessage":null}`:              "",
		`{"status":"active","processing":true}`:                 "",
		`{"status":"cancelled","errorMessage":""}`:              "it ended with status cancelled",
		`{"status":"error","errorMessage":"/x is not there"}`:   "it ended with status error: /x is not there",
		`{"status":"error","errorMessage":null}`:                "it ended with status error",
	} {
		got := ""
		if err := failureOf([]byte(result)); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", result, got, want)
		}
	}
}
