package main

import (
	"errors"
	"image/color"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// drawLoad draws how long each loader takes for how many secrets, over HTTP/2 at 20
// ms a round trip.
func drawLoad(r *results, file string) error {
	p := plot.New()
	p.BackgroundColor = color.White
	p.Title.Text = "Loading a key vault: HTTP/2, 20 ms a round trip"
	p.Title.Padding = vg.Points(8)
	p.X.Label.Text, p.Y.Label.Text = "secrets", "seconds"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker = ticks(2, 25, 250, 1000)
	p.Y.Tick.Marker = ticks(0.1, 0.2, 0.5, 1, 2, 5, 10, 20)
	p.X.Padding, p.Y.Padding = vg.Points(6), vg.Points(6)
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.Padding = vg.Points(3)
	p.Add(plotter.NewGrid())

	drawn := 0
	for i, series := range []struct {
		by, label string
		color     color.RGBA
	}{
		{"one-by-one", "azsecrets, one at a time", color.RGBA{R: 0xd5, G: 0x5e, A: 0xff}},
		{"goroutines", "azsecrets, list, then 32 goroutines", color.RGBA{R: 0xe6, G: 0x9f, A: 0xff}},
		{ours, "portnokkel", color.RGBA{G: 0x72, B: 0xb2, A: 0xff}},
		{limit, "the limit: only what must come in a row", color.RGBA{R: 0x77, G: 0x77, B: 0x77, A: 0xff}},
	} {
		var points plotter.XYs
		for _, n := range amounts {
			if s := r.spread(load{"2", "20ms", "all", n}.by(series.by), seconds); s.n > 0 {
				points = append(points, plotter.XY{X: float64(n), Y: s.middle})
			}
		}
		if len(points) == 0 {
			continue
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return err
		}
		line.Color, dots.Color = series.color, series.color
		line.Width, dots.Radius = vg.Points(1.5), vg.Points(3)
		dots.Shape = []draw.GlyphDrawer{draw.TriangleGlyph{}, draw.BoxGlyph{}, draw.CircleGlyph{}, draw.CrossGlyph{}}[i]
		if series.by == limit {
			line.Dashes = []vg.Length{vg.Points(4), vg.Points(3)}
		}
		p.Add(line, dots)
		p.Legend.Add(series.label, line, dots)
		drawn++
	}
	if drawn == 0 {
		return errors.New("no load was measured: there is nothing to draw")
	}
	return p.Save(6.4*vg.Inch, 4*vg.Inch, file)
}

func ticks(at ...float64) plot.ConstantTicks {
	var all plot.ConstantTicks
	for _, v := range at {
		all = append(all, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'g', -1, 64)})
	}
	return all
}
