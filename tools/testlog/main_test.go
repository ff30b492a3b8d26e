package main

import (
	"strings"
	"testing"
	"time"
)

func TestLogShowsWhatMatters(t *testing.T) {
	t.Parallel()
	const events = `go: downloading x
{"Action":"build-output","ImportPath":"p","Output":"p/p.go:1: undefined: x\n"}
{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestGood"}
{"Action":"output","Package":"p","Test":"TestGood","Output":"=== RUN   TestGood\n"}
{"Action":"output","Package":"p","Test":"TestGood","Output":"    p_test.go:1: nobody wants this\n"}
{"Action":"output","Package":"q","Test":"TestBad/one","Output":"    --- FAIL: TestBad/one (0.00s)\n"}
{"Action":"fail","Package":"q","Test":"TestBad/one"}
{"Action":"output","Package":"p","Test":"TestGood","Output":"--- PASS: TestGood (0.00s)\n"}
{"Action":"pass","Package":"p","Test":"TestGood"}
{"Action":"output","Package":"q","Test":"TestBad","Output":"--- FAIL: TestBad (0.00s)\n"}
{"Action":"fail","Package":"q","Test":"TestBad"}
{"Action":"output","Package":"p","Test":"TestAway","Output":"    p_test.go:9: SKIPPED: no nginx\n"}
{"Action":"output","Package":"p","Test":"TestAway","Output":"--- SKIP: TestAway (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestAway"}
{"Action":"pass","Package":"p","Test":"TestLong"}
{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"output","Package":"p","Output":"ok  \tp\t1.5s\n"}
{"Action":"pass","Package":"p"}
`
	const want = `go: downloading x
p/p.go:1: undefined: x
    --- FAIL: TestBad/one (0.00s)
--- FAIL: TestBad (0.00s)
    p_test.go:9: SKIPPED: no nginx
--- SKIP: TestAway (0.00s)
    	p: 3 tests have ended, the last is TestLong
ok  	p	1.5s
`
	var out strings.Builder
	now := time.Unix(0, 0)
	l := newLog(&out, func() time.Time { return now })
	before, after, _ := strings.Cut(events, `{"Action":"pass","Package":"p","Test":"TestLong"}`)
	if err := l.follow(strings.NewReader(before)); err != nil {
		t.Fatal(err)
	}
	now = now.Add(quiet + time.Second)
	if err := l.follow(strings.NewReader(`{"Action":"pass","Package":"p","Test":"TestLong"}` + after)); err != nil {
		t.Fatal(err)
	}
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", out.String(), want)
	}
}
