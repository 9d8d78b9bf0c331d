// Command pictures makes the readme's pictures: screenshots of the running demo, and PNG versions of the SVG drawings.
// The plugin catalog shows the readme without its repository, and no SVG.
package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"html/template"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type step = chromedp.Action[chromedp.Void]

// A browser is a headless Chromium.
type browser struct{ ctx context.Context }

func run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	folder, err := os.MkdirTemp("", "organizrjwt-pictures-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	allocator, stopAllocator := chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.Flag("no-sandbox", os.Geteuid() == 0),
		chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.UserDataDir(filepath.Join(folder, "browser")),
	)...)
	defer stopAllocator()
	inBrowser, stopBrowser := chromedp.NewContext(allocator)
	defer stopBrowser()
	// The browser lives as long as the context of its first step.
	if err := chromedp.Do(inBrowser, chromedp.Navigate("about:blank")); err != nil {
		return err
	}
	chromium := browser{inBrowser}
	testdata := filepath.Join(proxy.Checkout(), "testdata")
	if err := chromium.draw(filepath.Join(testdata, "flow.svg"), filepath.Join(testdata, "flow.png")); err != nil {
		return err
	}
	port, stopDemo, err := startDemo(ctx, folder)
	if err != nil {
		return err
	}
	defer stopDemo()
	return chromium.photograph(port, filepath.Join(testdata, "pictures"))
}

// startDemo runs the demo, and returns its port and how to stop it once it answers.
func startDemo(ctx context.Context, folder string) (port string, stop func(), err error) {
	program := filepath.Join(folder, "demo")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, ".")
	build.Dir = proxy.Module()
	if output, err := build.CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("building the demo: %w: %s", err, output)
	}
	address, err := proxy.FreeAddr()
	if err != nil {
		return "", nil, err
	}
	demo := exec.CommandContext(ctx, program, "-listen", address)
	demo.Stderr = os.Stderr
	if err := demo.Start(); err != nil {
		return "", nil, err
	}
	var failure error
	ended := make(chan struct{})
	go func() {
		failure = demo.Wait()
		close(ended)
	}()
	stop = func() {
		_ = demo.Process.Signal(syscall.SIGTERM)
		<-ended
	}
	_, port, _ = strings.Cut(address, ":")
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address, http.NoBody)
		if err != nil {
			stop()
			return "", nil, err
		}
		req.Host = "organizr.demo.localhost:" + port
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return port, stop, nil
			}
		}
		select {
		case <-ended:
			return "", nil, fmt.Errorf("the demo ended by itself: %w", failure)
		case <-ctx.Done():
			stop()
			return "", nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// do takes steps in the browser, with a time-out that no step should reach.
func (b browser) do(steps ...step) error {
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	return chromedp.Do(ctx, steps...)
}

// size sets the size of the window, and how many pixels of the picture one of the page's pixels takes.
func size(width, height int64, scale float64) step {
	return chromedp.EmulateViewport(width, height, chromedp.EmulateScale(scale))
}

// A view is a screenshot of a page.
type view struct {
	Caption string
	Address string
	Picture template.URL
}

// look takes a screenshot.
func (b browser) look(caption string) (view, error) {
	picture, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		return view{}, err
	}
	address, err := chromedp.Run(b.ctx, chromedp.Location())
	if err != nil {
		return view{}, err
	}
	return view{
		caption, address, template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(picture)),
	}, nil //nolint:gosec // it is our own
}

// photograph follows a visitor who isn't logged in, and one whose group isn't admitted.
func (b browser) photograph(port, folder string) error {
	service := func(name string) string { return "http://" + name + ".demo.localhost:" + port + "/" }
	bob := chromedp.CSS(`button[data-username="bob"]`)
	scenes := []struct {
		caption string
		steps   []step
	}{
		{"1. Open a service, and you are at Organizr", []step{
			size(440, 520, 1.5), chromedp.Navigate(service("sonarr")), chromedp.WaitVisible(bob),
		}},
		{"2. Log in", []step{
			chromedp.Evaluate[chromedp.Void](`document.querySelector('#accounts').parentElement.scrollIntoView()`),
			chromedp.Evaluate[chromedp.Void](
				`document.querySelector('button[data-username="bob"]').previousElementSibling.focus()`),
			chromedp.KeyEvent(kb.Tab), // focused by the keyboard, so that the browser shows it
		}},
		{
			"3. You are back at the service",
			[]step{chromedp.Click(bob), chromedp.WaitNotPresent(bob), chromedp.WaitVisible(chromedp.CSS("body"))},
		},
		{
			"bob's group may not enter",
			[]step{chromedp.Navigate(service("radarr")), chromedp.WaitVisible(chromedp.CSS("main a"))},
		},
	}
	var views []view
	for _, scene := range scenes {
		if err := b.do(scene.steps...); err != nil {
			return fmt.Errorf("%s: %w", scene.caption, err)
		}
		seen, err := b.look(scene.caption)
		if err != nil {
			return err
		}
		views = append(views, seen)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	if err := b.frame(views[:3], filepath.Join(folder, "login.png")); err != nil {
		return err
	}
	views[3].Caption = ""
	return b.frame(views[3:], filepath.Join(folder, "refused.png"))
}

// frames shows views side by side, each below its address.
var frames = template.Must(template.New("frames").Parse(`<!DOCTYPE html><meta charset="utf-8"><style>
	body { margin: 0; padding: 12px; display: inline-flex; gap: 16px; background: #f6f8fa; color: #1d2329 }
	body { font: 600 15px system-ui, sans-serif }
	figure { margin: 0 } figcaption { height: 28px }
	div { border: 1px solid #55606b; border-radius: 8px; overflow: hidden; width: 330px; background: #fff }
	p { margin: 0; padding: 6px 12px; background: #e7ebef; font: 12px system-ui, sans-serif }
	p { white-space: nowrap; overflow: hidden; text-overflow: ellipsis }
	img { display: block; width: 330px }
</style><body>{{range .}}<figure>{{with .Caption}}<figcaption>{{.}}</figcaption>{{end}}
<div><p>{{.Address}}</p><img src="{{.Picture}}"></div></figure>{{end}}</body>`))

// frame writes a picture of the views to the file.
func (b browser) frame(views []view, file string) error {
	var page bytes.Buffer
	if err := frames.Execute(&page, views); err != nil {
		return err
	}
	return b.write(page.Bytes(), "body", file)
}

// draw writes an SVG as PNG, at twice its size.
func (b browser) draw(svg, file string) error {
	text, err := os.ReadFile(svg)
	if err != nil {
		return err
	}
	page := `<!DOCTYPE html><meta charset="utf-8"><style>body { margin: 0 } svg { display: block; width: 760px }</style>` +
		`<body>` + string(text) + `</body>`
	return b.write([]byte(page), "svg", file)
}

// write writes a picture of the part of the page that the selector matches.
func (b browser) write(page []byte, selector, file string) error {
	if err := b.do(size(1080, 700, 2),
		chromedp.Navigate("data:text/html;base64,"+base64.StdEncoding.EncodeToString(page))); err != nil {
		return err
	}
	picture, err := chromedp.Run(b.ctx, chromedp.Screenshot(chromedp.CSS(selector)))
	if err != nil {
		return err
	}
	small, err := shrink(picture)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d KiB\n", file, len(small)>>10)
	return os.WriteFile(file, small, 0o644)
}

// shrink returns the PNG with only its 256 most frequent colors, which are enough for text and boxes.
func shrink(picture []byte) ([]byte, error) {
	full, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		return nil, err
	}
	count := map[color.Color]int{}
	for x := range full.Bounds().Dx() {
		for y := range full.Bounds().Dy() {
			count[full.At(x, y)]++
		}
	}
	colors := slices.SortedFunc(maps.Keys(count), func(one, other color.Color) int { return count[other] - count[one] })
	small := image.NewPaletted(full.Bounds(), colors[:min(len(colors), 256)])
	draw.Draw(small, small.Rect, full, full.Bounds().Min, draw.Src)
	var file bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	err = encoder.Encode(&file, small)
	return file.Bytes(), err
}
