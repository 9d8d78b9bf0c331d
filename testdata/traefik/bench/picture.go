package main

import (
	"fmt"
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
)

// draw writes the picture: what each way adds to the cost of a request, in the CPU time of Traefik.
func draw(file, about string, routes []route) error {
	shown := map[string]string{
		"headers": "Traefik's own headers", "noop": "empty plugin", "remembered": "organizrjwt",
		"first": "organizrjwt, first visit", "forwardauth": "ForwardAuth *",
	}
	picture := plot.New()
	picture.Title.Text = "What a login check adds to a request"
	picture.Title.TextStyle.Font.Size = vg.Points(16)
	picture.Title.Padding = vg.Points(8)
	picture.Y.Label.Text = about + "\n* to a server that answers at once and costs nothing; Organizr's own PHP and database come on top"
	picture.Y.Label.TextStyle.Font.Size = vg.Points(8)
	picture.Y.Label.Position = 0
	picture.X.Label.Text = "CPU time of Traefik, µs, beside that of the same request without a check"
	var names []string
	var bars plotter.Values
	for i := len(routes) - 1; i > 0; i-- {
		name, ok := shown[routes[i].name]
		if !ok {
			continue
		}
		names = append(names, name)
		bars = append(bars, max(0, added(routes[i], routes[0])))
	}
	chart, err := plotter.NewBarChart(bars, vg.Points(26))
	if err != nil {
		return err
	}
	chart.Horizontal = true
	chart.Color = color.RGBA{R: 0x2c, G: 0xab, B: 0xe3, A: 0xff}
	chart.LineStyle.Width = 0
	picture.Add(chart)
	var labels plotter.XYLabels
	for i, value := range bars {
		labels.XYs = append(labels.XYs, plotter.XY{X: value, Y: float64(i)})
		labels.Labels = append(labels.Labels, fmt.Sprintf(" %.0f", value))
	}
	figures, err := plotter.NewLabels(labels)
	if err != nil {
		return err
	}
	for i := range figures.TextStyle {
		figures.TextStyle[i].YAlign = text.YCenter
	}
	picture.Add(figures)
	picture.NominalY(names...)
	picture.X.Min = 0
	picture.X.Max *= 1.1
	picture.BackgroundColor = color.White
	// The caption stands below instead of beside the axis.
	caption := picture.Y.Label.Text
	picture.Y.Label.Text = ""
	picture.X.Label.Text += "\n\n" + caption
	picture.X.Label.TextStyle.Font.Size = vg.Points(9)
	return picture.Save(vg.Points(640), vg.Points(330), file)
}

// added returns the median over the rounds of what the route costs more than the other, in microseconds.
func added(one, other route) float64 {
	var differences []float64
	for i := range one.runs {
		differences = append(differences, float64((one.runs[i].CPU-other.runs[i].CPU).Nanoseconds())/1000)
	}
	return median(differences)
}
