package main

import (
	"strings"
	"testing"
	"time"
)

func TestSoakForTwentySeconds(t *testing.T) {
	var table strings.Builder
	if err := soak(t.Context(), &table, "", 20*time.Second); err != nil {
		t.Error(err)
	}
	t.Log("\n" + table.String())
}
