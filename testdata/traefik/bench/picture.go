package main

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"os"
	"path/filepath"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

const (
	width, height = 760 * vg.Inch / 96, 300 * vg.Inch / 96
	margin        = 14 * vg.Inch / 96
	titleHeight   = 34 * vg.Inch / 96
	captionHeight = 62 * vg.Inch / 96
	sans          = "Liberation Sans"
)

var (
	ink  = color.RGBA{R: 0x24, G: 0x29, B: 0x2f, A: 0xff}
	pale = color.RGBA{R: 0x57, G: 0x60, B: 0x6a, A: 0xff}
	// The paper is the same in light and dark mode, so that the ink is readable in both.
	paper  = color.RGBA{R: 0xf6, G: 0xf8, B: 0xfa, A: 0xff}
	ours   = color.RGBA{R: 0x1f, G: 0x88, B: 0xc0, A: 0xff}
	others = color.RGBA{R: 0xa8, G: 0xb1, B: 0xba, A: 0xff}
)

// shownAs has the names of routes in the picture.
var shownAs = map[string]string{
	"bare": "no check", "organizr-files": "organizrjwt", "organizr": "ForwardAuth to Organizr",
}

// picture draws how long a visitor waits and how much CPU time that takes in all, as SVG and PNG.
func picture(folder, about string, routes []*route) error {
	if folder == "" {
		return nil
	}
	byName := map[string]*route{}
	for _, r := range routes {
		byName[r.name] = r
	}
	shown := []*route{byName["organizr"], byName["organizr-files"], byName["bare"]} // from the bottom up
	first := byName["first"]
	if first == nil || slices.Contains(shown, nil) {
		fmt.Println("No picture: it shows the routes bare, organizr-files, organizr and first; " +
			"for a real Organizr set ORGANIZR_SOURCE to the folder of its source.")
		return nil
	}
	caption := []string{
		fmt.Sprintf("The first request of a session, while the token isn't known yet: %.2f ms, and %.2f ms of CPU.",
			medianOf(first.alone, p50), medianOf(first.underLoad, cpuOfAll)/1000),
		"CPU: Traefik's, and with ForwardAuth also that of Organizr's PHP (with opcache), which it asks about each request.",
		about,
	}
	var svg bytes.Buffer
	if err := render(vgsvg.New(width, height), shown, caption, &svg); err != nil {
		return err
	}
	// Few people have the font that the picture was laid out with. Arial has the same widths.
	portable := bytes.ReplaceAll(svg.Bytes(), []byte("font-family:"+sans),
		[]byte("font-family:"+sans+",Arial,Helvetica,sans-serif"))
	if err := os.WriteFile(filepath.Join(folder, "benchmark.svg"), portable, 0o644); err != nil {
		return err
	}
	var png bytes.Buffer
	canvas := vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(192))}
	if err := render(canvas, shown, caption, &png); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "benchmark.png"), png.Bytes(), 0o644)
}

// render draws the picture on the canvas, and writes it.
func render(canvas interface {
	vg.CanvasSizer
	io.WriterTo
}, shown []*route, caption []string, out io.Writer,
) error {
	whole := draw.New(canvas)
	whole.SetColor(paper)
	whole.Fill(whole.Path())
	inner := draw.Crop(whole, margin, -margin, margin, -margin)
	write(inner, vg.Point{X: inner.Min.X, Y: inner.Max.Y}, 15, ink, "One request, without and with a login check")
	for i, line := range caption {
		write(inner, vg.Point{X: inner.Min.X, Y: inner.Min.Y + captionHeight - vg.Length(i+1)*15*vg.Inch/96}, 9, pale, line)
	}
	panels := draw.Crop(inner, 0, 0, captionHeight, -titleHeight)
	middle := (panels.Max.X - panels.Min.X) / 2
	for i, panel := range []panel{
		{"How long a visitor waits for it, ms", func(r *route) float64 { return medianOf(r.alone, p50) }},
		{"CPU time that it takes, ms", func(r *route) float64 { return medianOf(r.underLoad, cpuOfAll) / 1000 }},
	} {
		part := draw.Crop(panels, vg.Length(i)*middle, vg.Length(i-1)*middle, 0, 0)
		write(part, vg.Point{X: part.Min.X, Y: part.Max.Y}, 11, ink, panel.title)
		chart, err := panel.draw(shown)
		if err != nil {
			return err
		}
		chart.Draw(draw.Crop(part, 0, 0, 0, -titleHeight/2))
	}
	_, err := canvas.WriteTo(out)
	return err
}

// write puts a line of text below the point.
func write(canvas draw.Canvas, at vg.Point, size vg.Length, ink color.Color, line string) {
	style := text.Style{Color: ink, Font: sansSerif(size), Handler: plot.DefaultTextHandler, YAlign: text.YTop}
	canvas.FillText(style, at, line)
}

func sansSerif(size vg.Length) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
}

// A panel shows one value of each route.
type panel struct {
	title string
	value func(*route) float64
}

// draw returns a chart with a bar for each route under its name, from the bottom up.
func (p panel) draw(shown []*route) (*plot.Plot, error) {
	chart := plot.New()
	chart.BackgroundColor = color.Transparent
	chart.HideAxes()
	chart.X.Padding, chart.Y.Padding = 0, 0
	var most float64
	var names, figures plotter.XYLabels
	for i, r := range shown {
		length, row := p.value(r), float64(i)
		most = max(most, length)
		bar, err := plotter.NewBarChart(plotter.Values{length}, vg.Points(14))
		if err != nil {
			return nil, err
		}
		bar.Horizontal, bar.XMin, bar.Color, bar.LineStyle.Width = true, row, others, 0
		if r.name == "organizr-files" {
			bar.Color = ours
		}
		chart.Add(bar)
		names.XYs = append(names.XYs, plotter.XY{Y: row + 0.4})
		names.Labels = append(names.Labels, shownAs[r.name])
		figures.XYs = append(figures.XYs, plotter.XY{X: length, Y: row})
		figures.Labels = append(figures.Labels, fmt.Sprintf("%.2f", length))
	}
	for i, texts := range []plotter.XYLabels{names, figures} {
		labels, err := plotter.NewLabels(texts)
		if err != nil {
			return nil, err
		}
		for at := range labels.TextStyle {
			labels.TextStyle[at].YAlign, labels.TextStyle[at].Font, labels.TextStyle[at].Color = text.YCenter, sansSerif(10), ink
		}
		if i == 1 {
			labels.Offset.X = vg.Points(4)
		}
		chart.Add(labels)
	}
	chart.X.Min, chart.X.Max = 0, most*1.2 // with room for the figures
	chart.Y.Min, chart.Y.Max = -0.3, float64(len(shown))-0.35
	return chart, nil
}
