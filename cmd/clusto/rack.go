package main

import (
	"context"
	"fmt"
	"io"

	"github.com/clusto/clusto-engine/clusto"
)

var rackCommand = group("rack", "Show and change racks and what is in them.",
	asks[rackShowFlags]("rack show", "Show a rack's units from the top down; \"clusto show RACK\" tells more."),
	asks[rackListFlags]("rack list", "List all racks, with how much is free."),
	asks[rackInsertFlags]("rack insert", "Put a device into a rack, at the lowest of the units that it takes."),
	asks[rackRemoveFlags]("rack remove", "Take devices out of a rack."),
	asks[rackCreateFlags]("rack create", rackCreateAbout),
	&command{name: "check", about: rackCheckAbout, main: rackCheckMain, flags: func() any { return new(rackCheckFlags) }})

type oneRack struct {
	Rack string `arg:"" complete:"rack" help:"The rack's name."`
}

type rackShowFlags struct {
	oneRack
	output
	reading
	choice
}

// rackView is what rack show prints as JSON.
type rackView struct {
	Units  []rackUnit `json:"units"`
	NoUnit []string   `json:"no_unit,omitempty"`
}

func (f *rackShowFlags) run(ctx context.Context, inv inventory, out io.Writer) error {
	o, err := f.container(ctx, inv, f.Rack, "rack")
	if err != nil {
		return err
	}
	var v rackView
	v.Units, v.NoUnit = elevation(&o)
	if f.JSON {
		return printJSON(out, v)
	}
	rows := unitRows(v.Units)
	for _, path := range v.NoUnit {
		rows = append(rows, []string{"no unit", path})
	}
	columns(out, "", rows)
	return nil
}

type rackListFlags struct {
	output
	reading
	choice
}

// rackLine is one rack of a list.
type rackLine struct {
	clusto.Entity
	Units int `json:"units"`
	Free  int `json:"free"`
}

func (f *rackListFlags) run(ctx context.Context, inv inventory, out io.Writer) error {
	all, err := inv.Entities(ctx, clusto.Query{Types: []string{"rack"}})
	if err != nil {
		return err
	}
	list := struct {
		Racks []rackLine `json:"racks"`
	}{[]rackLine{}}
	var rows [][]string
	for _, e := range all {
		o, err := inv.Object(ctx, e.Name)
		if err != nil {
			return err
		}
		units, _ := elevation(&o)
		line := rackLine{Entity: e, Units: len(units)}
		for _, u := range units {
			if len(u.Entities) == 0 {
				line.Free++
			}
		}
		list.Racks = append(list.Racks, line)
		rows = append(rows, []string{e.Name, fmt.Sprintf("%d units", line.Units), fmt.Sprintf("%d free", line.Free)})
	}
	if f.JSON {
		return printJSON(out, list)
	}
	columns(out, "", rows)
	return nil
}

type rackInsertFlags struct {
	oneRack
	Device string `arg:"" complete:"entity" help:"Name, MAC or IPv4 address of the device."`
	RU     int    `arg:"" name:"ru" help:"The unit, counted from 1 at the bottom."`
	output
	writing
	choice
}

// Validate checks what kong cannot.
func (f *rackInsertFlags) Validate() error {
	if f.RU < 1 {
		return fmt.Errorf("<ru>: %d is none; units count from 1", f.RU)
	}
	return nil
}

func (f *rackInsertFlags) run(ctx context.Context, inv inventory, out io.Writer) error {
	rack, err := f.container(ctx, inv, f.Rack, "rack")
	if err != nil {
		return err
	}
	e, err := f.entity(ctx, inv, f.Device)
	if err != nil {
		return err
	}
	return f.change(ctx, inv, out, []clusto.Op{{Op: "insert", Name: e.Name, Into: rack.Name, RU: f.RU}})
}

type rackRemoveFlags struct {
	oneRack
	Devices []string `arg:"" complete:"entity" help:"Names, MACs or IPv4 addresses of the devices."`
	output
	writing
	choice
}

func (f *rackRemoveFlags) run(ctx context.Context, inv inventory, out io.Writer) error {
	rack, err := f.container(ctx, inv, f.Rack, "rack")
	if err != nil {
		return err
	}
	ops, err := f.removals(ctx, inv, &rack, f.Devices)
	if err != nil {
		return err
	}
	return f.change(ctx, inv, out, ops)
}
