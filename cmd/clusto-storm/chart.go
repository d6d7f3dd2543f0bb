package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// The chart's measures in pixels.
const (
	chartWidth, chartHeight = 800, 400
	chartLeft, chartRight   = 80, 24
	chartTop, chartBottom   = 40, 48
	chartTicks              = 6
)

// draw draws the curve as SVG.
func (c *curve) draw(w io.Writer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := c.points[len(c.points)-1]
	span := max(last.at, time.Millisecond).Seconds()
	x := func(s float64) float64 { return chartLeft + s/span*(chartWidth-chartLeft-chartRight) }
	y := func(n float64) float64 {
		return chartHeight - chartBottom - n/float64(max(c.total, 1))*(chartHeight-chartTop-chartBottom)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %d" font-family="sans-serif" font-size="12">`+"\n", chartWidth, chartHeight, chartHeight)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/>`+"\n")
	fmt.Fprintf(&b, `<text x="%d" y="24" font-size="15">%s of %s machines with a lease after %.3g s</text>`+"\n", chartLeft, number3(last.done), number3(c.total), span)
	for s := 0.0; s <= span; s += step(span) {
		line(&b, x(s), y(0), x(s), y(float64(c.total)))
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%.3g s</text>`+"\n", x(s), chartHeight-chartBottom+18, s)
	}
	for n := 0.0; n <= float64(c.total); n += math.Max(1, step(float64(c.total))) {
		line(&b, x(0), y(n), x(span), y(n))
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", chartLeft-8, y(n)+4, number3(int(n)))
	}
	b.WriteString(`<polyline fill="none" stroke="#06c" stroke-width="2" points="`)
	for _, p := range c.points {
		fmt.Fprintf(&b, "%.1f,%.1f ", x(p.at.Seconds()), y(float64(p.done)))
	}
	b.WriteString("\"/>\n</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func line(b *strings.Builder, x1, y1, x2, y2 float64) {
	fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#ddd"/>`+"\n", x1, y1, x2, y2)
}

// step is a round distance of which there are chartTicks or fewer in span.
func step(span float64) float64 {
	s := math.Pow(10, math.Floor(math.Log10(span/chartTicks)))
	for _, f := range []float64{1, 2, 5, 10} {
		if span/(s*f) <= chartTicks {
			return s * f
		}
	}
	return span
}
