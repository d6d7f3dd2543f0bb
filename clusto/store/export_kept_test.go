package store

import (
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// TestExportKeepsMicroseconds: a date has fractions of a second in the copy too.
func TestExportKeepsMicroseconds(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s, empty := open(), open()
		apply(t, s, entity_("e", "pool"))
		for _, date := range []string{"2010-01-02 03:04:05.123456", "2010-01-02 03:04:05.120000", "2010-01-02 03:04:05.000000"} {
			execute(t, s, `INSERT INTO entity_attrs (entity_id, "key", datatype, datetime_value, version)
				SELECT entity_id, 'when', 'datetime', '`+date+`', 1 FROM entities WHERE name = 'e'`)
		}
		roundTrip(t, s, empty)
		got, err := empty.list(t.Context(), `SELECT CAST(datetime_value AS VARCHAR(32)) FROM entity_attrs WHERE "key" = 'when' ORDER BY attr_id`)
		must(t, err)
		want := "2010-01-02 03:04:05.123456 2010-01-02 03:04:05.120000 2010-01-02 03:04:05.000000"
		if s.dialect == postgres {
			want = "2010-01-02 03:04:05.123456 2010-01-02 03:04:05.12 2010-01-02 03:04:05"
		}
		if strings.Join(got, " ") != want {
			t.Errorf("the copy has %q", got)
		}
	})
}

// TestNamesHaveCharacters: the limits of names and keys count characters, as
// those of the schema do, and an export holds what fits.
func TestNamesHaveCharacters(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		const letter = "あ"
		apply(t, s, entity_(strings.Repeat(letter, 128), "pool"),
			clusto.Op{Op: "raw", Name: strings.Repeat(letter, 128), Key: strings.Repeat(letter, 256), Values: []clusto.Value{str("x")}})
		roundTrip(t, s, open())
		refused(t, s, clusto.ErrInvalid, "longer than 128 characters", entity_(strings.Repeat(letter, 129), "pool"))
	})
}
