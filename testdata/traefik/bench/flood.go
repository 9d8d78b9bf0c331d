package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/load"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
)

// flood sends 100,000 different forged tokens, then as many wrong keys, and prints the heap before and after each.
func flood(ctx context.Context, traefik *proxy.Traefik) error {
	claims := bob.Claims(time.Now(), time.Hour)
	for _, kind := range []struct {
		name, route string
		headers     func(number string) http.Header
	}{
		{"forged tokens", "remembered", func(number string) http.Header {
			token := fakeorganizr.Sign(fakeorganizr.Header, claims, "forged"+number)
			return programWith("Cookie", fakeorganizr.Cookie(token))
		}},
		{"wrong keys", "key", func(number string) http.Header {
			return programWith("Authorization", "Bearer a-key-that-is-long-enough-"+number)
		}},
	} {
		const wanted = 100_000
		before, err := heapMB(ctx, traefik)
		if err != nil {
			return err
		}
		var sent int64
		for sent < wanted {
			next := func(hit int64) load.Request {
				return load.Request{
					Host: kind.route + ".example.com", Header: kind.headers(strconv.FormatInt(sent+hit, 10)),
					Status: http.StatusUnauthorized,
				}
			}
			result, err := load.Attack{
				Addr: traefik.Addr, Pid: traefik.Pid(), Connections: connections, Duration: 2 * time.Second, Next: next,
			}.Run()
			if err != nil {
				return err
			}
			if result.Wrong > 0 {
				return fmt.Errorf("flood: %s", result.FirstWrong)
			}
			sent += result.Requests
			fmt.Fprintf(os.Stderr, "\r\033[K%d %s", sent, kind.name)
		}
		fmt.Fprint(os.Stderr, "\r\033[K")
		after, err := heapMB(ctx, traefik)
		if err != nil {
			return err
		}
		fmt.Printf("%d different %s: heap in use %.1f MB before, %.1f MB after\n", sent, kind.name, before, after)
	}
	return nil
}

// heapMB returns how many megabytes of Traefik's heap are in use after a garbage collection.
func heapMB(ctx context.Context, traefik *proxy.Traefik) (float64, error) {
	url := "http://" + traefik.Addr + "/debug/pprof/heap?gc=1&debug=1"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, err
	}
	req.Host = "debug.example.com"
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	match := regexp.MustCompile(`# HeapInuse = (\d+)`).FindSubmatch(text)
	if match == nil {
		return 0, fmt.Errorf("no figures of the heap: %s", resp.Status)
	}
	bytes, err := strconv.ParseFloat(string(match[1]), 64)
	return bytes / (1 << 20), err
}
