package openapi

import (
	"bytes"
	"encoding/json"
	"html/template"
)

// The parts of a document that the page shows.
type (
	documentText struct {
		Info  struct{ Version, Description string }
		Tags  []struct{ Name, Description string }
		Paths map[string]map[string]operationText
		// Webhooks are the events for scripts, by name.
		Webhooks   map[string]struct{ Post operationText }
		Components struct{ Schemas map[string]schemaText }
	}

	operationText struct {
		OperationID          string
		Summary, Description string
		Tags                 []string
		Parameters           []parameterText
		RequestBody          *contentText
		Responses            map[string]struct {
			Ref         string `json:"$ref"`
			Description string
			contentText
		}
		Access     string                   `json:"x-access"`
		Permission string                   `json:"x-permission"`
		Arguments  []string                 `json:"x-arguments"`
		EventTypes map[string]eventTypeText `json:"x-event-types"`
	}

	parameterText struct {
		Name, In, Description string
		Required              bool
		Schema                schemaText
		Example               json.RawMessage
	}

	contentText struct {
		Content map[string]struct {
			Schema  schemaText
			Example json.RawMessage
		}
	}

	eventTypeText struct {
		Summary string
		Live    bool
		Data    schemaText
	}

	schemaText struct {
		Ref                  string `json:"$ref"`
		Type                 typeNames
		Format               string
		Description          string
		ContentEncoding      string
		Enum                 []json.RawMessage
		Default              json.RawMessage
		Minimum, Maximum     json.Number
		MinLength, MaxLength json.Number
		MinItems, MaxItems   json.Number
		Pattern              string
		Properties           map[string]schemaText
		Required             []string
		Items                *schemaText
		AdditionalProperties json.RawMessage
		AnyOf                []schemaText
	}
)

// typeNames are the types of a schema, which are a name or a list of names.
type typeNames []string

// UnmarshalJSON implements json.Unmarshaler.
func (t *typeNames) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte(`"`)) {
		*t = []string{""}
		return json.Unmarshal(text, &(*t)[0])
	}
	return json.Unmarshal(text, (*[]string)(t))
}

// The data of the page's template.
type (
	pageView struct {
		Version  string
		Guide    []guideView
		Chapters []chapterView
		Objects  []objectView
	}

	// guideView is a section of the text before the commands.
	guideView struct {
		ID, Title string
		Text      template.HTML
	}

	chapterView struct {
		ID, Name string
		Text     template.HTML
		Entries  []entryView
	}

	// entryView is a command, an event, or what is beside the commands.
	entryView struct {
		ID, Name, Summary   string
		Method, Path        string // empty for events
		Text                template.HTML
		Access, Permission  string
		Arguments           []string
		InPath, Query, Body []fieldView
		Types               []eventView
		Result              []fieldView
		Object              string // name of the result's component, if it is one
		Request, Reply      string // examples
		Errors              []string
		Samples             []sampleView
	}

	eventView struct {
		Name, Summary string
		Live          bool
		Fields        []fieldView
	}

	objectView struct {
		Name, Text string
		Fields     []fieldView
	}

	// fieldView is a parameter or a member of an object.
	fieldView struct {
		Name, Type, Object string
		Required           bool
		Text               template.HTML
		Rules              []string
		Fields             []fieldView
	}

	sampleView struct{ Language, Code string }
)
