package browser

import (
	"testing"

	"github.com/chromedp/chromedp"
)

func TestThePageInABrowser(t *testing.T) {
	t.Parallel()
	f := full()
	b := open(t, serve(t, f), "/")

	b.until(`!document.getElementById("sign-in").hidden && document.activeElement.id === "name"`)
	b.shots("sign-in")
	b.signIn("alice", "wrong")
	b.until(`document.getElementById("refused").textContent === "the user or the password is wrong"`)
	b.signIn("alice", "right")
	b.until(`document.querySelectorAll("#send progress").length === 5 && document.querySelectorAll("#runs tr").length === 4`)
	if got := b.text(`document.getElementById("password").value + document.cookie`); got != "" {
		t.Errorf("script still sees %q", got)
	}
	b.shots("status")

	for expression, expected := range map[string]string{
		`document.title`: "site-a – JetStream",
		`document.getElementById("server").textContent`:                                                         "site-a on reel-1.example",
		`document.getElementById("version").textContent`:                                                        "JetStream 0.1.0",
		`document.querySelector("nav a").getAttribute("href")`:                                                  "docs",
		`document.getElementById("send-count").textContent`:                                                     "2 under way",
		`document.querySelector("#send li .where").textContent`:                                                 "to bob@site-b.example:8887, below /incoming/reel-7",
		`document.querySelector("#send li progress").value`:                                                     "0.375",
		`document.querySelector("#send li .badge").textContent`:                                                 "active",
		`document.querySelectorAll("#send li")[3].innerText.includes("password was refused by site-b.example")`: "true",
		`document.querySelectorAll("#send li .where")[4].textContent`: `to bob@site-b.example:8887, below ` +
			`/<img src=x onerror=document.title='owned'>/a\tb\nc\u202egnp.exe\u200b`,
		`document.querySelectorAll("main img").length`:          "0",
		`document.querySelector("#recv li .where").textContent`: "from [2001:db8::7] for bob, below /incoming",
		`document.querySelector("#recv li progress").value`:     "0.25",
		`document.querySelector("#recv .facts").textContent.includes("25 % · 16 MiB of 64 MiB · 1 of 3 files · 88 Mbit/s · 5 s left")`:       "true",
		`document.querySelector("#send .facts").textContent.includes("37 % · 3 GiB of 8 GiB · 450 of 1,200 files · 941 Mbit/s · 42 s left")`: "true",
		`[...document.querySelectorAll("#runs tr:last-child td:not(.when)")].map((e) => e.innerText.trim()).join("|")`:                       "recv.transferComplete|success|0|1.23 s|1",
		`document.querySelectorAll("#runs tr")[2].querySelector(".exit").textContent`:                                                        "SIGKILL",
		`document.getElementById("runs-count").textContent`:                                                                                  "1 waiting",
	} {
		if got := b.text(expression); got != expected {
			t.Errorf("%s\n is %q\nnot %q", expression, got, expected)
		}
	}

	// The bars move, elements stay, and an end is said aloud.
	b.script(`window.first = document.querySelector("#send li"); 0`)
	f.change(func() { f.sent[0] = sent("s1", "complete", 8<<30, 8<<30) })
	b.until(`window.first.querySelector("progress").value === 1 && window.first.isConnected`)
	b.until(`document.getElementById("said").textContent === "Transfer to bob@site-b.example:8887, below /incoming/reel-7: complete"`)
	f.change(func() { f.sent = append([]object{sent("s0", "active", 1, 10)}, f.sent[:2]...) })
	b.until(`document.querySelectorAll("#send li").length === 3 && document.querySelectorAll("#send li")[1] === window.first`)

	// Out of order and back.
	f.change(func() { f.broken = true })
	b.until(`document.getElementById("trouble").textContent.startsWith("The server does not answer. The next try is in")`)
	b.shots("trouble")
	f.change(func() { f.broken = false })
	b.until(`document.getElementById("trouble").hidden`)

	b.do(chromedp.Click(chromedp.ID("sign-out")))
	b.until(`!document.getElementById("sign-in").hidden && document.getElementById("status").hidden`)
	if got := b.text(`document.querySelectorAll("#send li, #recv li, #runs tr").length + document.getElementById("server").textContent`); got != "0" {
		t.Errorf("after signing out the page still holds %s", got)
	}
	b.expectFailedRequests() // before the login, and those of the broken server
	b.clean()
}

func TestWhatOthersThanSuperusersSee(t *testing.T) {
	t.Parallel()
	f := &fake{}
	b := open(t, serve(t, f), "/")
	b.signIn("alice", "right")
	b.until(`document.getElementById("runs-note").textContent === "Trigger runs are shown to superusers."`)
	b.until(`document.getElementById("send-note").textContent.startsWith("Nothing has been sent yet")`)
	b.until(`document.getElementById("recv-note").textContent === "Nothing has arrived yet."`)
	b.shots("empty")

	// Nobody looks: nobody asks.
	hide := func(hidden string) {
		b.script(`Object.defineProperty(document, "hidden", { value: ` + hidden + `, configurable: true });
			document.dispatchEvent(new Event("visibilitychange")); 0`)
	}
	hide("true")
	for try := 1; ; try++ { // a round that was under way may still arrive
		var before, after int
		f.change(func() { before = f.asked })
		b.script(`new Promise((done) => setTimeout(done, 1500))`)
		f.change(func() { after = f.asked })
		if after == before {
			break
		}
		if try == 3 {
			t.Errorf("the hidden page goes on asking, %d times at last", after-before)
			break
		}
	}
	f.change(func() { f.received = full().received })
	hide("false")
	b.until(`document.querySelectorAll("#recv progress").length === 1`)

	// The session ends at the server.
	b.script(`fetch("/session", { method: "DELETE" }).then(() => 0)`)
	b.until(`document.getElementById("refused").textContent === "Your session has ended. Sign in again."`)
	b.expectFailedRequests()
	b.clean()
}

func TestFormats(t *testing.T) {
	t.Parallel()
	b := open(t, serve(t, &fake{}), "/")
	b.script(`import("/static/format.js").then((m) => { window.f = m; return 0 })`)
	for expression, expected := range map[string]string{
		`f.bytes(0)`: "0 bytes", `f.bytes(1)`: "1 byte", `f.bytes(1023)`: "1023 bytes", `f.bytes(1536)`: "1.5 KiB",
		`f.bytes(2 ** 40 * 12.34)`: "12.3 TiB", `f.bytes(2 ** 70)`: "1048576 PiB", `f.bytes(null)`: "", `f.bytes(undefined)`: "",
		`f.rate(0)`: "", `f.rate(999)`: "999 kbit/s", `f.rate(941250)`: "941 Mbit/s", `f.rate(2.5e6)`: "2.5 Gbit/s", `f.rate(NaN)`: "",
		`f.span(0.0123)`: "12 ms", `f.span(1.5)`: "1.5 s", `f.span(59.6)`: "1 min 0 s", `f.span(3725)`: "1 h 2 min", `f.span(90000)`: "1 d 1 h", `f.span(-1)`: "",
		`f.count(1, "file")`: "1 file", `f.count(1200, "file")`: "1,200 files",
		`f.moment(null)`: "", `f.name(null)`: "",
		`f.name("a\x00b\x1b[31m\x7f\x9b")`:    `a\u0000b\u001b[31m\u007f\u009b`,
		`f.name("\u2028\u2066\ufeff\ud800x")`: `\u2028\u2066\ufeff\ud800x`,
		`f.name("Ä 🎬 東京")`:                    "Ä 🎬 東京",
	} {
		if got := b.text(expression); got != expected {
			t.Errorf("%s is %q, not %q", expression, got, expected)
		}
	}
	b.expectFailedRequests()
	b.clean()
}
