package store

import (
	"testing"

	"github.com/clusto/clusto-engine/clusto/store/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
