import io.openlineage.client.OpenLineage;
import io.openlineage.client.OpenLineageClient;
import io.openlineage.client.OpenLineageClientUtils;
import io.openlineage.client.Clients;
import java.net.URI;
import java.time.ZonedDateTime;
import java.util.List;
import java.util.UUID;

/** Sends N run events, a job event and a dataset event as openlineage.yml says, and prints each as it was serialised. */
public class Emit {
  public static void main(String[] arguments) throws Exception {
    int runEvents = Integer.parseInt(arguments[0]);
    OpenLineage ol = new OpenLineage(URI.create("https://example.org/java"));
    OpenLineage.RunEvent.EventType[] types = OpenLineage.RunEvent.EventType.values();
    OpenLineage.Run run = ol.newRunBuilder().runId(UUID.randomUUID()).build();
    OpenLineage.Job job = ol.newJobBuilder().namespace("shop").name("orders")
        .facets(ol.newJobFacetsBuilder().sql(ol.newSQLJobFacet("INSERT INTO b SELECT * FROM a", "ansi")).build())
        .build();
    OpenLineage.SchemaDatasetFacet schema = ol.newSchemaDatasetFacetBuilder()
        .fields(List.of(ol.newSchemaDatasetFacetFieldsBuilder().name("prénom").type("VARCHAR").build()))
        .build();
    OpenLineage.InputDataset input = ol.newInputDatasetBuilder().namespace("postgres://db:5432").name("shop.public.a")
        .facets(ol.newDatasetFacetsBuilder().schema(schema).build())
        .build();
    OpenLineage.OutputDataset output = ol.newOutputDatasetBuilder().namespace("s3://lake").name("b").build();

    try (OpenLineageClient client = Clients.newClient()) {
      for (int i = 0; i < runEvents; i++) {
        OpenLineage.RunEvent event = ol.newRunEventBuilder().eventTime(ZonedDateTime.now())
            .eventType(types[i % types.length]).run(run).job(job).inputs(List.of(input)).outputs(List.of(output))
            .build();
        client.emit(event);
        System.out.println(OpenLineageClientUtils.toJson(event));
      }
      OpenLineage.JobEvent jobEvent = ol.newJobEventBuilder().eventTime(ZonedDateTime.now()).job(job).build();
      client.emit(jobEvent);
      System.out.println(OpenLineageClientUtils.toJson(jobEvent));
      OpenLineage.DatasetEvent datasetEvent = ol.newDatasetEventBuilder().eventTime(ZonedDateTime.now())
          .dataset(ol.newStaticDatasetBuilder().namespace("s3://lake").name("b").build())
          .build();
      client.emit(datasetEvent);
      System.out.println(OpenLineageClientUtils.toJson(datasetEvent));
    }
  }
}
