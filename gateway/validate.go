package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/go-playground/validator/v10"

	"jetstream/internal/api"
)

// checker applies the validate tags of one command and says the faults with
// the names that clients use. Safe for concurrent use.
type checker struct {
	validate *validator.Validate
	command  *api.Command
}

// newChecker panics on a tag that validator does not know, by trying it.
func newChecker(c *api.Command) *checker {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(f reflect.StructField) string {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		return name
	})
	k := &checker{validate: v, command: c}
	k.check(reflect.New(c.ParamsType).Elem().Interface(), nil)
	return k
}

// check returns what is wrong with params. given says which parameters were
// there: an absent one is "required", whatever rule its zero value breaks.
func (k *checker) check(params any, given map[string]json.RawMessage) []api.FieldError {
	err := k.validate.Struct(params)
	if err == nil {
		return nil
	}
	broken, ok := errors.AsType[validator.ValidationErrors](err)
	if !ok { // params is a struct: cannot happen
		return []api.FieldError{{Field: "parameters", Rule: "invalid", Message: err.Error()}}
	}
	faults := make([]api.FieldError, 0, len(broken))
	for _, b := range broken {
		name := b.Field()
		f, known := k.command.Param(strings.SplitN(name, "[", 2)[0])
		if known {
			name = f.Name
		}
		if _, there := given[f.Other]; there {
			name = f.Other
		}
		rule := b.Tag()
		if b.Param() != "" {
			rule += "=" + b.Param()
		}
		if _, there := given[name]; !there && b.Tag() != "required" {
			continue // its zero value is what absence means
		}
		message := sentence(name, b)
		if _, there := given[name]; !there && f.OneRequired {
			message += "; " + f.Other + " may be given in its place"
		}
		faults = append(faults, api.FieldError{Field: name, Rule: rule, Message: message})
	}
	return faults
}

func sentence(name string, b validator.FieldError) string {
	text := b.Kind() == reflect.String
	unit := ""
	switch b.Kind() {
	case reflect.String:
		unit = " characters"
	case reflect.Map, reflect.Slice:
		unit = " entries"
	}
	long := " must be "
	if unit != "" {
		long = " must have "
	}
	switch b.Tag() {
	case "required":
		if text {
			return name + " is required and may not be empty"
		}
		return name + " is required"
	case "min", "gte":
		return name + long + "at least " + b.Param() + unit
	case "max", "lte":
		return name + long + "at most " + b.Param() + unit
	case "gt":
		return name + long + "more than " + b.Param() + unit
	case "lt":
		return name + long + "less than " + b.Param() + unit
	case "len":
		return name + long + "exactly " + b.Param() + unit
	case "oneof":
		return name + " must be one of " + strings.Join(strings.Fields(b.Param()), ", ")
	case "hexadecimal":
		return name + " must be hexadecimal"
	}
	return fmt.Sprintf("%s breaks the rule %s %s", name, b.Tag(), b.Param())
}
