package openapi

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/swaggest/jsonschema-go"
	"github.com/swaggest/openapi-go/openapi31"

	"jetstream/internal/api"
)

const schemas = "#/components/schemas/"

// builder collects one document. Not safe for concurrent use.
type builder struct {
	reflector *openapi31.Reflector
	recorded  recordings
	chapters  map[string]bool // names of the tags in use
	health    reflect.Type    // see Info
}

func newBuilder(info Info) (*builder, error) {
	recorded, err := readRecordings()
	if err != nil {
		return nil, err
	}
	b := &builder{reflector: openapi31.NewReflector(), recorded: recorded, chapters: map[string]bool{}, health: info.Health}
	b.reflector.InlineDefinition(api.Time(0))
	spec := b.spec()
	spec.Info.WithTitle("JetStream control API").WithVersion(info.Version).WithDescription(manual)
	spdx := "Apache-2.0"
	spec.Info.License = &openapi31.License{Name: "Apache License 2.0", Identifier: &spdx}
	here := "The server that this document comes from."
	spec.Servers = []openapi31.Server{{URL: ".", Description: &here}}
	spec.Security = logins()
	return b, nil
}

func (b *builder) spec() *openapi31.Spec { return b.reflector.SpecEns() }

// direction reports whether a schema is of what clients send or of what they get.
type direction bool

const (
	request direction = false
	reply   direction = true
)

// parameters reflects a struct of parameters: every part in place, closed to
// unknown names, nothing nullable, because null is refused.
func (b *builder) parameters(t reflect.Type) (*jsonschema.Schema, error) {
	s, err := b.reflector.Reflect(reflect.New(t).Elem().Interface(), append(options(request), jsonschema.InlineRefs)...)
	return &s, err
}

// result reflects a result struct into the document's components and returns
// a reference to it.
func (b *builder) result(t reflect.Type) (map[string]any, error) {
	s, err := b.reflector.Reflect(reflect.New(t).Elem().Interface(), append(options(reply),
		jsonschema.RootRef, jsonschema.DefinitionsPrefix(schemas), jsonschema.CollectDefinitions(b.collect))...)
	if err != nil {
		return nil, err
	}
	return s.ToSchemaOrBool().ToSimpleMap()
}

func (b *builder) collect(name string, s jsonschema.Schema) {
	m, err := s.ToSchemaOrBool().ToSimpleMap()
	if err != nil { // a schema made of plain values always converts
		panic(fmt.Sprintf("openapi: schema %s: %v", name, err))
	}
	b.spec().ComponentsEns().WithSchemasItem(name, m)
}

func options(d direction) []func(*jsonschema.ReflectContext) {
	return []func(*jsonschema.ReflectContext){
		func(rc *jsonschema.ReflectContext) { rc.SkipNonConstraints = true }, // the hook reads default tags
		jsonschema.InterceptDefName(definitionName),
		jsonschema.InterceptSchema(func(p jsonschema.InterceptSchemaParams) (bool, error) { return wireType(d, p) }),
		jsonschema.InterceptProp(func(p jsonschema.InterceptPropParams) error { return property(d, p) }),
	}
}

var (
	packagePaths = regexp.MustCompile(`[\w.~-]*[/.]`)
	notInNames   = regexp.MustCompile(`\W+`)
)

// definitionName is the type's name without its package; List[transfer.File]
// becomes ListFile.
func definitionName(t reflect.Type, _ string) string {
	name := notInNames.ReplaceAllString(packagePaths.ReplaceAllString(t.Name(), ""), "")
	if name == "" {
		return ""
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

// wireType gives the types that are written in their own way their schema,
// and closes the objects that clients send.
func wireType(d direction, p jsonschema.InterceptSchemaParams) (stop bool, err error) {
	t := p.Value.Type()
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[api.Time]():
		*p.Schema = jsonschema.Schema{}
		p.Schema.AddType(jsonschema.Integer)
		p.Schema.WithFormat("int64")
		return true, nil
	case t == reflect.TypeFor[json.RawMessage]():
		*p.Schema = jsonschema.Schema{}
		p.Schema.AddType(jsonschema.Object)
		return true, nil
	case p.Processed && t.Kind() == reflect.Int64:
		p.Schema.WithFormat("int64") // the library forgets it behind a pointer
	case d == request && p.Processed && t.Kind() == reflect.Struct:
		closed := false
		p.Schema.AdditionalProperties = &jsonschema.SchemaOrBool{TypeBoolean: &closed}
	}
	return false, nil
}

// property is the one hook that turns the tags of a field into its schema.
func property(d direction, p jsonschema.InterceptPropParams) error {
	if !p.Processed {
		return nil
	}
	tag, s, t := p.Field.Tag, p.PropertySchema, p.Field.Type
	pointer := t.Kind() == reflect.Pointer
	if pointer {
		t = t.Elem()
	}
	required, err := applyRules(tag.Get("validate"), s, t)
	if err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	if d == request {
		if err := applyDefault(tag.Get("default"), s); err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	moment := t == reflect.TypeFor[api.Time]()
	if doc := tag.Get("doc"); doc != "" {
		if moment {
			doc += "; microseconds since the Unix epoch, UTC"
		}
		s.WithDescription(doc)
	}
	notNull(s)
	_, flags, _ := strings.Cut(tag.Get("json"), ",")
	sometimes := strings.Contains(flags, "omitempty") || strings.Contains(flags, "omitzero")
	if d == request {
		if tag.Get("secret") == "true" {
			s.WithFormat("password")
		}
	} else {
		required = !sometimes
		if (pointer || moment) && !sometimes {
			orNull(s)
		}
	}
	if required {
		p.ParentSchema.Required = append(p.ParentSchema.Required, p.Name)
	}
	return nil
}

// notNull takes null out of the types of s. Lists and maps are never null in
// this API, though Go's encoder would allow it.
func notNull(s *jsonschema.Schema) {
	if s.Type == nil || len(s.Type.SliceOfSimpleTypeValues) == 0 {
		return
	}
	types := s.Type.SliceOfSimpleTypeValues
	s.Type = nil
	for _, t := range types {
		if t != jsonschema.Null {
			s.AddType(t)
		}
	}
}

// orNull allows null beside what s describes.
func orNull(s *jsonschema.Schema) {
	if s.Ref == nil {
		s.AddType(jsonschema.Null)
		if len(s.Enum) > 0 {
			s.Enum = append(s.Enum, nil)
		}
		return
	}
	target := (&jsonschema.Schema{}).WithRef(*s.Ref).ToSchemaOrBool()
	s.Ref = nil
	s.AnyOf = []jsonschema.SchemaOrBool{target, jsonschema.Null.ToSchemaOrBool()}
}

// applyDefault reads a default as the binder does: text for strings, else JSON.
func applyDefault(text string, s *jsonschema.Schema) error {
	if text == "" {
		return nil
	}
	if s.HasType(jsonschema.String) {
		s.WithDefault(text)
		return nil
	}
	if !json.Valid([]byte(text)) {
		return fmt.Errorf("the default %s is no JSON", text)
	}
	s.WithDefault(json.RawMessage(text))
	return nil
}
