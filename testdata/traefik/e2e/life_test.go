package e2e

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// refused stands for a request that nobody answered.
const refused = 0

// A watcher is a visitor who asks for one page every 50 ms.
type watcher struct {
	name, host string
	want       int // the status that the visitor gets between events

	mutex   sync.Mutex
	cookie  string
	answers []statusAt // that nobody has taken yet
}

// A statusAt is what a visitor was answered, and when.
type statusAt struct {
	at     time.Time
	status int
}

// logIn gives the visitor a session; an empty one takes it away.
func (w *watcher) logIn(cookie string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.cookie = cookie
}

func (w *watcher) session() string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.cookie
}

// visit asks until stop is closed.
func (w *watcher) visit(client *http.Client, stop <-chan struct{}) {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			w.ask(client)
		}
	}
}

func (w *watcher) ask(client *http.Client) {
	req, err := http.NewRequest(http.MethodGet, "https://"+w.host+".example.com/", http.NoBody)
	if err != nil {
		panic(err)
	}
	cookie := w.session()
	req.Header.Set("Cookie", cookie)
	began := time.Now()
	status := refused
	if resp, err := client.Do(req); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		status = resp.StatusCode
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.cookie == cookie { // who has logged in meanwhile asks anew
		w.answers = append(w.answers, statusAt{began, status})
	}
}

// A life is what happens to a stack while visitors use it.
type life struct {
	t          *testing.T
	watchers   []*watcher
	rows       [][]string // of the table
	total      int        // answers
	unexpected int
}

// newLife lets the visitors ask until the test ends. The test then logs the table of events.
func newLife(t *testing.T, client *http.Client, watchers ...*watcher) *life {
	t.Helper()
	l := &life{t: t, watchers: watchers, rows: [][]string{{"event", "took"}}}
	for _, w := range watchers {
		l.rows[0] = append(l.rows[0], w.name)
	}
	stop := make(chan struct{})
	var running sync.WaitGroup
	for _, w := range watchers {
		running.Go(func() { w.visit(client, stop) })
	}
	t.Cleanup(func() {
		close(stop)
		running.Wait()
		for _, w := range watchers {
			l.judge("the end", w, outcome{watcher: w, status: w.want}, w.take(), time.Now())
		}
		var text strings.Builder
		table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
		for _, row := range l.rows {
			fmt.Fprintln(table, strings.Join(row, "\t"))
		}
		_ = table.Flush()
		t.Logf("%d answers, %d of them unexpected\n%s", l.total, l.unexpected, text.String())
	})
	return l
}

// An outcome is what an event means for a visitor.
type outcome struct {
	watcher *watcher
	status  int   // what the visitor gets afterwards
	between []int // other statuses that the visitor may get before that
}

// during is the outcome of an event that changes nothing, but meanwhile the visitor may get those statuses.
func (w *watcher) during(statuses ...int) outcome { return outcome{w, w.want, statuses} }

// gets is the outcome of an event after which the visitor gets another status, and before that perhaps some others.
func (w *watcher) gets(status int, between ...int) outcome { return outcome{w, status, between} }

// event makes something happen, waits until each visitor gets what is expected, and adds a row to the table. A visitor
// without an outcome must not notice anything.
func (l *life) event(name string, happen func(), outcomes ...outcome) {
	l.t.Helper()
	began := time.Now()
	happen()
	happened := time.Now()
	row := []string{name, fmt.Sprintf("%.1f s", happened.Sub(began).Seconds())}
	for _, w := range l.watchers {
		expected := outcome{watcher: w, status: w.want}
		if at := slices.IndexFunc(outcomes, func(o outcome) bool { return o.watcher == w }); at >= 0 {
			expected = outcomes[at]
		}
		answers := l.settle(w, expected.status, happened)
		row = append(row, l.judge(name, w, expected, answers, happened))
		w.want = expected.status
	}
	l.rows = append(l.rows, row)
}

// settle waits until a visitor has got the status ten times in a row since the event, and takes all answers until then.
func (l *life) settle(w *watcher, status int, happened time.Time) []statusAt {
	l.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if inARow := w.inARow(status, happened); inARow >= 10 {
			return w.take()
		}
		if time.Now().After(deadline) {
			answers := w.take()
			l.t.Errorf("%s isn't answered %d, but %v", w.name, status, answers[max(0, len(answers)-3):])
			return answers
		}
	}
}

// inARow returns how many of the last answers since a time have the status.
func (w *watcher) inARow(status int, since time.Time) int {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	count := 0
	for _, answer := range slices.Backward(w.answers) {
		if answer.status != status || answer.at.Before(since) {
			break
		}
		count++
	}
	return count
}

// take returns the answers that nobody has taken yet.
func (w *watcher) take() []statusAt {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	answers := w.answers
	w.answers = nil
	return answers
}

// judge counts the answers that weren't expected, and returns the visitor's cell of the table: the status, how long
// after the event it changed, and the longest time during which it was neither the old one nor the new one.
func (l *life) judge(name string, w *watcher, expected outcome, answers []statusAt, happened time.Time) string {
	var longest time.Duration
	var others []string
	var outSince, changed time.Time
	for _, answer := range answers {
		l.total++
		good := answer.status == w.want || answer.status == expected.status
		switch {
		case good && !outSince.IsZero():
			longest = max(longest, answer.at.Sub(outSince))
			outSince = time.Time{}
		case !good && outSince.IsZero():
			outSince = answer.at
		}
		if answer.status == expected.status && changed.IsZero() {
			changed = answer.at
		}
		wentBack := answer.status == w.want && w.want != expected.status && !changed.IsZero()
		if (wentBack || !good) && !slices.Contains(expected.between, answer.status) {
			l.unexpected++
			l.t.Errorf("%s: %s is answered %d", name, w.name, answer.status)
		}
		if shown := fmt.Sprint(answer.status); !good && !slices.Contains(others, shown) {
			others = append(others, shown)
		}
	}
	shown := fmt.Sprint(expected.status)
	if w.want != expected.status {
		shown = fmt.Sprintf("%d → %d after %.1f s", w.want, expected.status, max(0, changed.Sub(happened).Seconds()))
		if took := changed.Sub(happened); took > 2*soon && len(expected.between) == 0 {
			l.t.Errorf("%s: %s is answered %d only %v later", name, w.name, expected.status, took)
		}
	}
	if longest > 0 {
		shown += fmt.Sprintf(", out for %.1f s (%s)", longest.Seconds(), strings.Join(others, " "))
	}
	return shown
}
