package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"

	"github.com/google/uuid"
)

// bom is a software bill of materials: CycloneDX 1.6.
type bom struct {
	Schema       string       `json:"$schema"`
	Format       string       `json:"bomFormat"`
	SpecVersion  string       `json:"specVersion"`
	Serial       string       `json:"serialNumber"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Timestamp string    `json:"timestamp"`
	Component component `json:"component"`
}

type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version"`
	Hashes     []hash     `json:"hashes,omitempty"`
	Licenses   []license  `json:"licenses,omitempty"`
	URL        string     `json:"purl,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type license struct {
	Expression string `json:"expression"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

// readBuild reads what Go wrote into a binary about its build.
func readBuild(binary []byte) (*debug.BuildInfo, error) {
	info, err := buildinfo.Read(bytes.NewReader(binary))
	if err != nil {
		return nil, fmt.Errorf("the binary does not say what it was built from: %w", err)
	}
	return info, nil
}

// modules returns the modules that a binary was built from, but not the main one.
func modules(info *debug.BuildInfo) []*debug.Module {
	list := make([]*debug.Module, len(info.Deps))
	for i, m := range info.Deps {
		if list[i] = m; m.Replace != nil {
			list[i] = m.Replace
		}
	}
	return list
}

// bom lists what a binary is made of: Go's standard library and the modules.
func (r *release) bom(info *debug.BuildInfo, p platform, binary []byte) *bom {
	sum := sha256.Sum256(binary)
	b := &bom{Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", SpecVersion: "1.6", Version: 1}
	b.Metadata.Timestamp = r.time.Format("2006-01-02T15:04:05Z")
	b.Metadata.Component = component{
		Type: "application", Ref: "jetstream", Name: "jetstream", Version: r.version,
		Hashes:   []hash{{"SHA-256", hex.EncodeToString(sum[:])}},
		Licenses: []license{{"Apache-2.0"}},
		Properties: []property{
			{"jetstream:commit", r.commit}, {"jetstream:platform", p.system + "/" + p.processor},
		},
	}
	b.add(goComponent("std", strings.TrimPrefix(info.GoVersion, "go"), ""))
	for _, m := range modules(info) {
		b.add(goComponent(m.Path, m.Version, m.Sum))
	}
	return b
}

func (b *bom) add(c component) {
	b.Components = append(b.Components, c)
}

// goComponent describes a module. Its hash is the one in go.sum: that of a list of the
// hashes of its files.
func goComponent(path, version, sum string) component {
	purl := "pkg:golang/" + strings.ToLower(path) + "@" + urlPart(version)
	c := component{Type: "library", Ref: purl, Name: path, Version: version, URL: purl}
	if raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(sum, "h1:")); err == nil && len(raw) == sha256.Size {
		c.Hashes = []hash{{"SHA-256", hex.EncodeToString(raw)}}
	}
	return c
}

// urlPart encodes a part of a package URL.
func urlPart(s string) string { return strings.ReplaceAll(url.PathEscape(s), "+", "%2B") }

// encode returns the document, whose serial number follows from its content.
func (b *bom) encode() ([]byte, error) {
	var refs []string
	for _, c := range b.Components {
		refs = append(refs, c.Ref)
	}
	b.Dependencies = []dependency{{b.Metadata.Component.Ref, refs}}
	b.Serial = ""
	content, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	b.Serial = uuid.NewSHA1(uuid.NameSpaceURL, content).URN()
	content, err = json.MarshalIndent(b, "", "  ")
	return append(content, '\n'), err
}

// licenseFile matches the names of files whose text goes along with a binary.
var licenseFile = regexp.MustCompile(`(?i)^(.*LICEN[CS]E.*|COPYING.*|NOTICE.*|PATENTS.*)$`)

// licenses returns the licence texts of Go and of all modules of a binary.
func (r *release) licenses(ctx context.Context, info *debug.BuildInfo) ([]byte, error) {
	dirs, err := r.goList(ctx, "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := addLicenses(&out, "Go "+strings.TrimPrefix(info.GoVersion, "go"), strings.TrimSpace(dirs)); err != nil {
		return nil, err
	}
	list := modules(info)
	if len(list) == 0 {
		return out.Bytes(), nil
	}
	args := []string{"list", "-m", "-f", "{{.Path}}@{{.Version}} {{.Dir}}"}
	for _, m := range list {
		args = append(args, m.Path)
	}
	if dirs, err = r.goList(ctx, args...); err != nil {
		return nil, err
	}
	for i, line := range strings.Split(strings.TrimSpace(dirs), "\n") {
		name, dir, _ := strings.Cut(line, " ")
		if i >= len(list) || name != list[i].Path+"@"+list[i].Version {
			return nil, fmt.Errorf("the binary was not built from go.mod, which has %s", name)
		}
		if err := addLicenses(&out, name, dir); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

func (r *release) goList(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Stderr = r.root, r.stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w", args[0], err)
	}
	return string(out), nil
}

// addLicenses appends the licence files of a directory.
func addLicenses(out *bytes.Buffer, name, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("the licence of %s: %w", name, err)
	}
	found := false
	for _, e := range entries {
		if e.IsDir() || !licenseFile.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "==== %s: %s ====\n\n%s\n\n", name, e.Name(), bytes.TrimSpace(text))
		found = true
	}
	if !found {
		return fmt.Errorf("%s has no licence file in %s, and its text must go along with the binary", name, dir)
	}
	return nil
}
