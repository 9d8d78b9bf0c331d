package realorganizr

import (
	"fmt"
	"net/http"
	"os"
	"testing"
)

// started returns an Organizr that nobody has set up yet. The test is skipped where there is no source of it.
func started(t *testing.T) *Organizr {
	t.Helper()
	if Source() == "" {
		t.Skip(Variable + " names no folder with Organizr's source")
	}
	o, err := Start(t.Context(), Options{Workers: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Stop)
	return o
}

func TestAllProcessesCountAndEnd(t *testing.T) {
	o := started(t)
	pids, err := o.Pids()
	if err != nil || len(pids) != 4 {
		t.Fatalf("Organizr has the processes %v, want one and three workers: %v", pids, err)
	}
	before, err := o.CPU()
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := o.Check(t.Context(), 999, Visit{}); err != nil || resp.StatusCode == http.StatusNotFound {
		t.Fatal(resp, err)
	}
	if after, err := o.CPU(); err != nil || after <= before {
		t.Errorf("a request took %s of CPU time: %v", after-before, err)
	}
	o.Stop()
	for _, pid := range pids {
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
			t.Errorf("process %d is still there: %s", pid, stat)
		}
	}
	if _, err := os.Stat(o.Web); !os.IsNotExist(err) {
		t.Errorf("its folder is still there: %v", err)
	}
}
