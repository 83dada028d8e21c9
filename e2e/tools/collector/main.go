// An OpenTelemetry Collector with what the tests and config/ need: it takes traces by OTLP and logs from files, and writes them to a
// file, a line of JSON for each request.
package main

import (
	"context"
	"log"
	"os"

	"github.com/open-telemetry/opentelemetry-collector-contrib/receiver/filelogreceiver"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/otlpexporter"
	"go.opentelemetry.io/collector/exporter/otlphttpexporter"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/batchprocessor"
	"go.opentelemetry.io/collector/processor/memorylimiterprocessor"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/service/telemetry/otelconftelemetry"
)

type fileConfig struct {
	Path string `mapstructure:"path"`
}

// The file exporter of the contrib repository has dependencies that can't be had everywhere.
func fileExporter() exporter.Factory {
	traces := func(ctx context.Context, settings exporter.Settings, config component.Config) (exporter.Traces, error) {
		file, err := open(config)
		if err != nil {
			return nil, err
		}
		return exporterhelper.NewTraces(ctx, settings, config, func(_ context.Context, traces ptrace.Traces) error {
			return write(file)((&ptrace.JSONMarshaler{}).MarshalTraces(traces))
		})
	}
	logs := func(ctx context.Context, settings exporter.Settings, config component.Config) (exporter.Logs, error) {
		file, err := open(config)
		if err != nil {
			return nil, err
		}
		return exporterhelper.NewLogs(ctx, settings, config, func(_ context.Context, logs plog.Logs) error {
			return write(file)((&plog.JSONMarshaler{}).MarshalLogs(logs))
		})
	}
	return exporter.NewFactory(component.MustNewType("file"), func() component.Config { return &fileConfig{} },
		exporter.WithTraces(traces, component.StabilityLevelDevelopment), exporter.WithLogs(logs, component.StabilityLevelDevelopment))
}

func open(config component.Config) (*os.File, error) {
	return os.OpenFile(config.(*fileConfig).Path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// Writes a line, unless it could not be made.
func write(file *os.File) func([]byte, error) error {
	return func(line []byte, err error) error {
		if err == nil {
			_, err = file.Write(append(line, '\n'))
		}
		return err
	}
}

func factories() (otelcol.Factories, error) {
	made := otelcol.Factories{Telemetry: otelconftelemetry.NewFactory()}
	var err error
	if made.Receivers, err = otelcol.MakeFactoryMap[receiver.Factory](otlpreceiver.NewFactory(), filelogreceiver.NewFactory()); err != nil {
		return made, err
	}
	if made.Processors, err = otelcol.MakeFactoryMap[processor.Factory](batchprocessor.NewFactory(), memorylimiterprocessor.NewFactory()); err != nil {
		return made, err
	}
	made.Exporters, err = otelcol.MakeFactoryMap[exporter.Factory](fileExporter(), otlpexporter.NewFactory(), otlphttpexporter.NewFactory())
	return made, err
}

func main() {
	settings := otelcol.CollectorSettings{
		BuildInfo: component.BuildInfo{Command: "collector", Description: "OpenTelemetry Collector of Belfry's tests"},
		Factories: factories,
		ConfigProviderSettings: otelcol.ConfigProviderSettings{
			ResolverSettings: confmap.ResolverSettings{
				ProviderFactories: []confmap.ProviderFactory{fileprovider.NewFactory()},
				DefaultScheme:     "file",
			},
		},
	}
	if err := otelcol.NewCommand(settings).Execute(); err != nil {
		log.Fatal(err)
	}
}
