package main

import (
	"fmt"
	"image/color"
	"path/filepath"
	"strconv"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

// draw draws time against the number of tags, one line a client, for a registry that
// sends most of them in a page, at most; 0: any number.
func (b *bench) draw(name, pages string, most int, sizes []int, runs int) error {
	clients := append([]client{ours, ours8}, peers...)
	lines := make([]plotter.XYs, len(clients))
	for _, tags := range sizes {
		profile := "dist312"
		if most == 0 {
			profile = "gitlab"
		}
		rows, err := b.measure(mock(profile, most, packages(tags)), 20*time.Millisecond, tags, clients, runs)
		if err != nil {
			return err
		}
		for i, r := range rows {
			if !r.complete {
				return fmt.Errorf("%s: %d of %d tags; %s", r.name, r.Tags, tags, r.Failed)
			}
			lines[i] = append(lines[i], plotter.XY{X: float64(tags), Y: r.Wall.Seconds()})
		}
	}
	var at ticks
	p := plot.New()
	p.BackgroundColor = color.White
	p.Title.Text = "A list of so many tags, " + pages + ", 20 ms a request"
	p.X.Label.Text, p.Y.Label.Text = "tags", "seconds"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	for _, tags := range sizes {
		at = append(at, float64(tags))
	}
	p.X.Tick.Marker = at
	p.Y.Tick.Marker = ticks{0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5}
	p.X.Max = 1.2 * at[len(at)-1] // room for the last number
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.Padding = vg.Points(2)
	p.Add(plotter.NewGrid())
	for i, xys := range lines {
		line, points, err := plotter.NewLinePoints(xys)
		if err != nil {
			return err
		}
		line.Color, points.Color, points.Shape = plotutil.Color(i), plotutil.Color(i), plotutil.Shape(i)
		if i < 2 {
			line.Width = vg.Points(2.5)
		}
		p.Add(line, points)
		p.Legend.Add(clients[i].name, line, points)
	}
	return p.Save(7*vg.Inch, 4.5*vg.Inch, filepath.Join(b.charts, name+".svg"))
}

// ticks are where an axis has numbers.
type ticks []float64

func (t ticks) Ticks(_, _ float64) (marks []plot.Tick) {
	for _, v := range t {
		label := strconv.FormatFloat(v, 'g', -1, 64)
		if v >= 1000 {
			label = strconv.Itoa(int(v)/1000) + "k"
		}
		marks = append(marks, plot.Tick{Value: v, Label: label})
	}
	return marks
}
