import java.math.BigInteger;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.UUID;

/**
 * One step with ClickHouse's JDBC driver, told by the arguments: URL, token, step, and what the step needs. Prints
 * what it got as lines of JSON. Numbers are strings of digits, times are microseconds since 1970.
 */
public class Query {
  public static void main(String[] arguments) throws Exception {
    String url = arguments[0];
    String token = arguments[1];
    String[] rest = Arrays.copyOfRange(arguments, 3, arguments.length);
    try (Connection connection = connect(url, token)) {
      switch (arguments[2]) {
        case "rows" -> rows(connection, rest[0]);
        case "parameters" -> parameters(connection);
        case "stream" -> stream(connection, rest[0]);
        case "metadata" -> metadata(connection, rest[0]);
        case "limits" -> limits(connection);
        default -> throw new IllegalArgumentException(arguments[2]);
      }
    } catch (SQLException error) {
      print(List.of("error", String.valueOf(error.getErrorCode()), String.valueOf(error.getMessage())));
    }
  }

  static Connection connect(String url, String token) throws SQLException {
    Properties properties = new Properties();
    properties.put("user", "auditor");
    properties.put("password", token);
    return DriverManager.getConnection(url, properties);
  }

  static void rows(Connection connection, String sql) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      printAll(statement.executeQuery(sql));
    }
  }

  static void parameters(Connection connection) throws SQLException {
    String sql = "SELECT ? AS s, ? AS n, ? AS d, toUUID(?) AS u, ? AS t, ? AS nothing, run_id FROM events WHERE run_id = ?";
    try (PreparedStatement statement = connection.prepareStatement(sql)) {
      statement.setString(1, "it's \\ \"ü\"\n?");
      statement.setLong(2, Long.MAX_VALUE);
      statement.setDouble(3, 0.5);
      statement.setString(4, "11111111-2222-4333-8444-555555555555");
      statement.setString(5, "' UNION ALL SELECT 1 -- ");
      statement.setNull(6, java.sql.Types.VARCHAR);
      statement.setString(7, "run-1");
      printAll(statement.executeQuery());
    }
  }

  static void stream(Connection connection, String sql) throws SQLException {
    long count = 0;
    BigInteger sum = BigInteger.ZERO;
    long characters = 0;
    try (Statement statement = connection.createStatement(); ResultSet found = statement.executeQuery(sql)) {
      while (found.next()) {
        count++;
        sum = sum.add(new BigInteger(found.getString(1)));
        characters += found.getString(2).length();
      }
    }
    print(List.of(String.valueOf(count), sum.toString(), String.valueOf(characters)));
  }

  /** What DBeaver asks when it connects, opens a schema and opens a table. */
  static void metadata(Connection connection, String database) throws SQLException {
    DatabaseMetaData about = connection.getMetaData();
    Map<String, Object> found = new TreeMap<>();
    found.put("product", about.getDatabaseProductName());
    found.put("version", about.getDatabaseProductVersion());
    found.put("valid", connection.isValid(5));
    found.put("schema", connection.getSchema());
    found.put("catalogs", column(about.getCatalogs(), 1));
    found.put("schemas", column(about.getSchemas(), 1));
    found.put("table types", column(about.getTableTypes(), 1));
    found.put("tables", column(about.getTables(null, database, "%", null), 3));
    found.put("views", column(about.getTables(null, database, "%", new String[] {"VIEW"}), 3));
    found.put("columns", column(about.getColumns(null, database, "events", "%"), 4));
    found.put("types", column(about.getColumns(null, database, "events", "%"), 6));
    found.put("type info", column(about.getTypeInfo(), 1));
    found.put("primary keys", column(about.getPrimaryKeys(null, database, "events"), 4));
    found.put("imported keys", column(about.getImportedKeys(null, database, "events"), 1));
    found.put("exported keys", column(about.getExportedKeys(null, database, "events"), 1));
    found.put("indexes", column(about.getIndexInfo(null, database, "events", false, true), 6));
    found.put("functions", column(about.getFunctions(null, null, "toUUID"), 3));
    found.put("procedures", column(about.getProcedures(null, null, "%"), 3));
    found.put("keywords", about.getSQLKeywords() != null);
    String[] queries = {
      "SELECT version()", "SELECT timezone()", "SELECT currentDatabase()", "SELECT name FROM system.databases WHERE name = '"
          + database + "'", "SELECT name FROM system.tables WHERE database = '" + database + "' AND name = 'runs'",
      "SELECT sum(rows) FROM system.parts WHERE active AND database = '" + database + "' AND table = 'events'",
      "SELECT count() > 1 FROM system.data_type_families", "SELECT count() > 1 FROM system.functions",
    };
    try (Statement statement = connection.createStatement()) {
      for (String query : queries) {
        found.put(query, column(statement.executeQuery(query), 1));
      }
      found.put("create", column(statement.executeQuery("SHOW CREATE TABLE " + database + ".runs"), 1));
    }
    print(found);
  }

  /** What DBeaver sets on a statement. */
  static void limits(Connection connection) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.setMaxRows(200);
      statement.setFetchSize(100);
      statement.setQueryTimeout(60);
      long count = 0;
      try (ResultSet found = statement.executeQuery("SELECT number FROM numbers(10000000)")) {
        while (found.next()) {
          count++;
        }
      }
      print(List.of(String.valueOf(count)));
    }
  }

  static List<String> column(ResultSet found, int index) throws SQLException {
    List<String> values = new ArrayList<>();
    try (found) {
      while (found.next()) {
        values.add(found.getString(index));
      }
    }
    return values;
  }

  static void printAll(ResultSet found) throws SQLException {
    ResultSetMetaData about = found.getMetaData();
    List<Object> types = new ArrayList<>();
    for (int i = 1; i <= about.getColumnCount(); i++) {
      types.add(List.of(about.getColumnLabel(i), about.getColumnTypeName(i)));
    }
    print(types);
    while (found.next()) {
      List<Object> row = new ArrayList<>();
      for (int i = 1; i <= about.getColumnCount(); i++) {
        row.add(found.getObject(i));
      }
      print(row);
    }
  }

  static void print(Object value) throws SQLException {
    StringBuilder out = new StringBuilder();
    write(value, out);
    System.out.println(out);
  }

  static void write(Object value, StringBuilder out) throws SQLException {
    if (value == null || value instanceof Boolean) {
      out.append(value);
    } else if (value instanceof Map<?, ?> map) {
      String separator = "{";
      for (Map.Entry<?, ?> entry : map.entrySet()) {
        out.append(separator);
        text(String.valueOf(entry.getKey()), out);
        out.append(":");
        write(entry.getValue(), out);
        separator = ",";
      }
      out.append(map.isEmpty() ? "{}" : "}");
    } else if (value instanceof java.sql.Array array) {
      write(array.getArray(), out);
    } else if (value instanceof java.sql.Struct struct) {
      write(struct.getAttributes(), out);
    } else if (value instanceof List<?> list) {
      write(list.toArray(), out);
    } else if (value.getClass().isArray()) {
      out.append("[");
      for (int i = 0; i < java.lang.reflect.Array.getLength(value); i++) {
        out.append(i == 0 ? "" : ",");
        write(java.lang.reflect.Array.get(value, i), out);
      }
      out.append("]");
    } else if (value instanceof ZonedDateTime time) {
      text(micros(time.toInstant()), out);
    } else if (value instanceof OffsetDateTime time) {
      text(micros(time.toInstant()), out);
    } else if (value instanceof LocalDateTime time) {
      text(micros(time.toInstant(ZoneOffset.UTC)), out);
    } else if (value instanceof java.sql.Timestamp time) {
      text(micros(time.toInstant()), out);
    } else if (value instanceof Number || value instanceof String || value instanceof UUID) {
      text(value.toString(), out);
    } else {
      throw new IllegalArgumentException("no way to write " + value.getClass());
    }
  }

  static String micros(Instant time) {
    return String.valueOf(ChronoUnit.MICROS.between(Instant.EPOCH, time));
  }

  static void text(String value, StringBuilder out) {
    out.append('"');
    for (char c : value.toCharArray()) {
      if (c == '"' || c == '\\') {
        out.append('\\').append(c);
      } else if (c < 0x20) {
        out.append(String.format("\\u%04x", (int) c));
      } else {
        out.append(c);
      }
    }
    out.append('"');
  }
}
