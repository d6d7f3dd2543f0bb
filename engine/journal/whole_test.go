package journal

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"testing"

	"modernc.org/sqlite"
)

// halfway is called by a trigger.
var halfway func()

func init() {
	sqlite.MustRegisterScalarFunction("halfway", 0, func(*sqlite.FunctionContext, []driver.Value) (driver.Value, error) {
		halfway()
		return nil, nil
	})
}

// TestAppendAllWentOnBehindItsEnd: a transaction of many events, of which some are
// written, leaves none when the context ends.
func TestAppendAllWentOnBehindItsEnd(t *testing.T) {
	const n = 20 * perInsert
	j := open(t, Config{File: file(t)})
	if _, err := j.db.Exec(fmt.Sprintf(`CREATE TRIGGER obstacle AFTER INSERT ON events WHEN new.seq = %d BEGIN SELECT halfway(); END`, n/2)); err != nil {
		t.Fatal(err)
	}
	short, end := context.WithCancel(ctx)
	defer end()
	halfway = end
	if err := j.AppendAll(short, events(swA, 0, n)); err == nil || short.Err() == nil {
		t.Errorf("%v", err)
	}
	if st := j.Stats(); st.Waiting != 0 || len(all(t, j)) != 0 {
		t.Errorf("%+v, %d switches", st, len(all(t, j)))
	}
	if err := j.AppendAll(short, events(swA, 0, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := j.db.Exec(`DROP TRIGGER obstacle`); err != nil {
		t.Fatal(err)
	}
	if err := j.AppendAll(ctx, events(swA, 0, n)); err != nil {
		t.Error(err)
	}
	if got := all(t, j)[swA]; !slices.Equal(got, events(swA, 0, n)) {
		t.Errorf("%d events", len(got))
	}
}
