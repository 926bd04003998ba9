"""The messages of `:batchUpdate`, one a line: their fields, and what kind of value each holds.

`name=kind` where kind is a scalar (int32, int64, float, double, string, bool, mask, json, and
object: JSON that is kept as it is sent), an enum or a message of this table. `*` after a kind: a
list of it. `?` after a kind: the field knows whether it was set, so that 0, "" and false are
printed; any other default is left out. `%`: a map from text to it.
"""

from dataclasses import dataclass
from typing import Final

_MESSAGES: Final = """
BatchUpdateSpreadsheetRequest requests=Request* includeSpreadsheetInResponse=bool responseRanges=string* responseIncludeGridData=bool

AddSheetRequest properties=SheetProperties
DeleteSheetRequest sheetId=int32
DuplicateSheetRequest sourceSheetId=int32 insertSheetIndex=int32 newSheetId=int32? newSheetName=string
UpdateSheetPropertiesRequest properties=SheetProperties fields=mask
UpdateSpreadsheetPropertiesRequest properties=SpreadsheetProperties fields=mask
InsertDimensionRequest range=DimensionRange inheritFromBefore=bool
DeleteDimensionRequest range=DimensionRange
MoveDimensionRequest source=DimensionRange destinationIndex=int32
AppendDimensionRequest sheetId=int32 dimension=Dimension length=int32 tableId=string
UpdateDimensionPropertiesRequest range=DimensionRange dataSourceSheetRange=json properties=DimensionProperties fields=mask
AutoResizeDimensionsRequest dimensions=DimensionRange dataSourceSheetDimensions=json
AddDimensionGroupRequest range=DimensionRange
DeleteDimensionGroupRequest range=DimensionRange
UpdateDimensionGroupRequest dimensionGroup=DimensionGroup fields=mask
SortRangeRequest range=GridRange sortSpecs=SortSpec*
FindReplaceRequest find=string replacement=string matchCase=bool matchEntireCell=bool searchByRegex=bool includeFormulas=bool range=GridRange sheetId=int32? allSheets=bool
UpdateCellsRequest rows=RowData* fields=mask start=GridCoordinate range=GridRange
RepeatCellRequest range=GridRange cell=CellData fields=mask
AppendCellsRequest sheetId=int32 rows=RowData* fields=mask tableId=string
CopyPasteRequest source=GridRange destination=GridRange pasteType=PasteType pasteOrientation=PasteOrientation
CutPasteRequest source=GridRange destination=GridCoordinate pasteType=PasteType
PasteDataRequest coordinate=GridCoordinate data=string type=PasteType delimiter=string? html=bool?
AutoFillRequest useAlternateSeries=bool range=GridRange sourceAndDestination=SourceAndDestination
UpdateBordersRequest range=GridRange top=Border bottom=Border left=Border right=Border innerHorizontal=Border innerVertical=Border
MergeCellsRequest range=GridRange mergeType=MergeType
UnmergeCellsRequest range=GridRange
InsertRangeRequest range=GridRange shiftDimension=Dimension
DeleteRangeRequest range=GridRange shiftDimension=Dimension
TextToColumnsRequest source=GridRange delimiter=string delimiterType=DelimiterType
RandomizeRangeRequest range=GridRange
TrimWhitespaceRequest range=GridRange
DeleteDuplicatesRequest range=GridRange comparisonColumns=DimensionRange*
AddNamedRangeRequest namedRange=NamedRange
UpdateNamedRangeRequest namedRange=NamedRange fields=mask
DeleteNamedRangeRequest namedRangeId=string
AddProtectedRangeRequest protectedRange=ProtectedRange
UpdateProtectedRangeRequest protectedRange=ProtectedRange fields=mask
DeleteProtectedRangeRequest protectedRangeId=int32
SetBasicFilterRequest filter=BasicFilter
ClearBasicFilterRequest sheetId=int32
AddFilterViewRequest filter=FilterView
UpdateFilterViewRequest filter=FilterView fields=mask
DeleteFilterViewRequest filterId=int32
DuplicateFilterViewRequest filterId=int32
SetDataValidationRequest range=GridRange rule=DataValidationRule filteredRowsIncluded=bool
AddConditionalFormatRuleRequest rule=ConditionalFormatRule index=int32
UpdateConditionalFormatRuleRequest index=int32 sheetId=int32 rule=ConditionalFormatRule newIndex=int32?
DeleteConditionalFormatRuleRequest index=int32 sheetId=int32
AddBandingRequest bandedRange=BandedRange
UpdateBandingRequest bandedRange=BandedRange fields=mask
DeleteBandingRequest bandedRangeId=int32
CreateDeveloperMetadataRequest developerMetadata=DeveloperMetadata
UpdateDeveloperMetadataRequest dataFilters=DataFilter* developerMetadata=DeveloperMetadata fields=mask
DeleteDeveloperMetadataRequest dataFilter=DataFilter
AddSlicerRequest slicer=Slicer
UpdateSlicerSpecRequest slicerId=int32 spec=object fields=mask
AddChartRequest chart=Chart
UpdateChartSpecRequest chartId=int32 spec=object
UpdateEmbeddedObjectPositionRequest objectId=int32 newPosition=ObjectPosition fields=mask
UpdateEmbeddedObjectBorderRequest objectId=int32 border=json fields=mask
DeleteEmbeddedObjectRequest objectId=int32
AddDataSourceRequest dataSource=json
UpdateDataSourceRequest dataSource=json fields=mask
DeleteDataSourceRequest dataSourceId=string
RefreshDataSourceRequest references=json dataSourceId=string isAll=bool force=bool
CancelDataSourceRefreshRequest references=json dataSourceId=string isAll=bool
AddTableRequest table=Table
UpdateTableRequest table=Table fields=mask
DeleteTableRequest tableId=string

SpreadsheetProperties title=string locale=string autoRecalc=RecalculationInterval timeZone=string defaultFormat=CellFormat iterativeCalculationSettings=IterativeCalculationSettings spreadsheetTheme=SpreadsheetTheme importFunctionsExternalUrlAccessAllowed=bool
IterativeCalculationSettings maxIterations=int32 convergenceThreshold=double
SpreadsheetTheme primaryFontFamily=string themeColors=ThemeColorPair*
ThemeColorPair colorType=ThemeColorType color=ColorStyle
SheetProperties sheetId=int32? title=string index=int32? sheetType=SheetType gridProperties=GridProperties hidden=bool tabColor=Color tabColorStyle=ColorStyle rightToLeft=bool dataSourceSheetProperties=json
GridProperties rowCount=int32 columnCount=int32 frozenRowCount=int32 frozenColumnCount=int32 hideGridlines=bool rowGroupControlAfter=bool columnGroupControlAfter=bool
DimensionProperties hiddenByFilter=bool hiddenByUser=bool pixelSize=int32 developerMetadata=DeveloperMetadata* dataSourceColumnReference=json
DimensionRange sheetId=int32 dimension=Dimension startIndex=int32? endIndex=int32?
DimensionGroup range=DimensionRange depth=int32 collapsed=bool
GridRange sheetId=int32 startRowIndex=int32? endRowIndex=int32? startColumnIndex=int32? endColumnIndex=int32? tableId=string
GridCoordinate sheetId=int32 rowIndex=int32 columnIndex=int32
SortSpec dimensionIndex=int32 sortOrder=SortOrder foregroundColor=Color foregroundColorStyle=ColorStyle backgroundColor=Color backgroundColorStyle=ColorStyle dataSourceColumnReference=json
SourceAndDestination source=GridRange dimension=Dimension fillLength=int32

RowData values=CellData*
CellData userEnteredValue=ExtendedValue effectiveValue=ExtendedValue formattedValue=string userEnteredFormat=CellFormat effectiveFormat=CellFormat hyperlink=string note=string textFormatRuns=TextFormatRun* dataValidation=DataValidationRule pivotTable=json dataSourceTable=json dataSourceFormula=json chipRuns=json*
ExtendedValue numberValue=double? stringValue=string? boolValue=bool? formulaValue=string? errorValue=ErrorValue
ErrorValue type=ErrorType message=string
CellFormat numberFormat=NumberFormat backgroundColor=Color backgroundColorStyle=ColorStyle borders=Borders padding=Padding horizontalAlignment=HorizontalAlign verticalAlignment=VerticalAlign wrapStrategy=WrapStrategy textDirection=TextDirection textFormat=TextFormat hyperlinkDisplayType=HyperlinkDisplayType textRotation=TextRotation
NumberFormat type=NumberFormatType pattern=string
Color red=float green=float blue=float alpha=float?
ColorStyle rgbColor=Color themeColor=ThemeColorType
Borders top=Border bottom=Border left=Border right=Border
Border style=Style width=int32 color=Color colorStyle=ColorStyle
Padding top=int32? right=int32? bottom=int32? left=int32?
TextFormat foregroundColor=Color foregroundColorStyle=ColorStyle fontFamily=string fontSize=int32? bold=bool? italic=bool? strikethrough=bool? underline=bool? link=Link
Link uri=string
TextRotation angle=int32? vertical=bool?
TextFormatRun startIndex=int32 format=TextFormat
DataValidationRule condition=BooleanCondition inputMessage=string strict=bool showCustomUi=bool
BooleanCondition type=ConditionType values=ConditionValue*
ConditionValue relativeDate=RelativeDate userEnteredValue=string?

NamedRange namedRangeId=string name=string range=GridRange
ProtectedRange protectedRangeId=int32 range=GridRange namedRangeId=string tableId=string description=string warningOnly=bool requestingUserCanEdit=bool unprotectedRanges=GridRange* editors=Editors
Editors users=string* groups=string* domainUsersCanEdit=bool
BasicFilter range=GridRange tableId=string sortSpecs=SortSpec* criteria=FilterCriteria% filterSpecs=FilterSpec*
FilterView filterViewId=int32 title=string range=GridRange namedRangeId=string tableId=string sortSpecs=SortSpec* criteria=FilterCriteria% filterSpecs=FilterSpec*
FilterSpec filterCriteria=FilterCriteria columnIndex=int32? dataSourceColumnReference=json
FilterCriteria hiddenValues=string* condition=BooleanCondition visibleBackgroundColor=Color visibleBackgroundColorStyle=ColorStyle visibleForegroundColor=Color visibleForegroundColorStyle=ColorStyle
ConditionalFormatRule ranges=GridRange* booleanRule=BooleanRule gradientRule=GradientRule
BooleanRule condition=BooleanCondition format=CellFormat
GradientRule minpoint=InterpolationPoint midpoint=InterpolationPoint maxpoint=InterpolationPoint
InterpolationPoint color=Color colorStyle=ColorStyle type=InterpolationPointType value=string
BandedRange bandedRangeId=int32 bandedRangeReference=string range=GridRange rowProperties=BandingProperties columnProperties=BandingProperties
BandingProperties headerColor=Color headerColorStyle=ColorStyle firstBandColor=Color firstBandColorStyle=ColorStyle secondBandColor=Color secondBandColorStyle=ColorStyle footerColor=Color footerColorStyle=ColorStyle
Slicer slicerId=int32 spec=object position=ObjectPosition
Chart chartId=int32 spec=object position=ObjectPosition border=object
ObjectPosition sheetId=int32? overlayPosition=OverlayPosition newSheet=bool
OverlayPosition anchorCell=GridCoordinate offsetXPixels=int32 offsetYPixels=int32 widthPixels=int32 heightPixels=int32
Table tableId=string name=string range=GridRange rowsProperties=object columnProperties=TableColumn*
TableColumn columnIndex=int32 columnName=string columnType=string dataValidationRule=object

DeveloperMetadata metadataId=int32 metadataKey=string metadataValue=string location=DeveloperMetadataLocation visibility=DeveloperMetadataVisibility
DeveloperMetadataLocation locationType=DeveloperMetadataLocationType spreadsheet=bool? sheetId=int32? dimensionRange=DimensionRange
DeveloperMetadataLookup locationType=DeveloperMetadataLocationType metadataLocation=DeveloperMetadataLocation locationMatchingStrategy=DeveloperMetadataLocationMatchingStrategy metadataId=int32? metadataKey=string metadataValue=string visibility=DeveloperMetadataVisibility
DataFilter developerMetadataLookup=DeveloperMetadataLookup a1Range=string? gridRange=GridRange
SearchDeveloperMetadataRequest dataFilters=DataFilter*
GetSpreadsheetByDataFilterRequest dataFilters=DataFilter* includeGridData=bool excludeTablesInBandedRanges=bool
BatchGetValuesByDataFilterRequest dataFilters=DataFilter* majorDimension=Dimension valueRenderOption=ValueRenderOption dateTimeRenderOption=DateTimeRenderOption
BatchClearValuesByDataFilterRequest dataFilters=DataFilter*
BatchUpdateValuesByDataFilterRequest valueInputOption=ValueInputOption data=DataFilterValueRange* includeValuesInResponse=bool responseValueRenderOption=ValueRenderOption responseDateTimeRenderOption=DateTimeRenderOption
DataFilterValueRange dataFilter=DataFilter majorDimension=Dimension values=list*
CopySheetToAnotherSpreadsheetRequest destinationSpreadsheetId=string
"""  # noqa: E501

_ENUMS: Final = """
Dimension ROWS COLUMNS
SortOrder ASCENDING DESCENDING
PasteType PASTE_NORMAL PASTE_VALUES PASTE_FORMAT PASTE_NO_BORDERS PASTE_FORMULA PASTE_DATA_VALIDATION PASTE_CONDITIONAL_FORMATTING
PasteOrientation NORMAL TRANSPOSE
MergeType MERGE_ALL MERGE_COLUMNS MERGE_ROWS
DelimiterType COMMA SEMICOLON PERIOD SPACE CUSTOM AUTODETECT
SheetType GRID OBJECT DATA_SOURCE
RecalculationInterval ON_CHANGE MINUTE HOUR
ThemeColorType TEXT BACKGROUND ACCENT1 ACCENT2 ACCENT3 ACCENT4 ACCENT5 ACCENT6 LINK
ErrorType ERROR NULL_VALUE DIVIDE_BY_ZERO VALUE REF NAME NUM N_A LOADING
HorizontalAlign LEFT CENTER RIGHT
VerticalAlign TOP MIDDLE BOTTOM
WrapStrategy OVERFLOW_CELL LEGACY_WRAP CLIP WRAP
TextDirection LEFT_TO_RIGHT RIGHT_TO_LEFT
HyperlinkDisplayType LINKED PLAIN_TEXT
NumberFormatType TEXT NUMBER PERCENT CURRENCY DATE TIME DATE_TIME SCIENTIFIC
Style DOTTED DASHED SOLID SOLID_MEDIUM SOLID_THICK NONE DOUBLE
ConditionType NUMBER_GREATER NUMBER_GREATER_THAN_EQ NUMBER_LESS NUMBER_LESS_THAN_EQ NUMBER_EQ NUMBER_NOT_EQ NUMBER_BETWEEN NUMBER_NOT_BETWEEN TEXT_CONTAINS TEXT_NOT_CONTAINS TEXT_STARTS_WITH TEXT_ENDS_WITH TEXT_EQ TEXT_IS_EMAIL TEXT_IS_URL DATE_EQ DATE_BEFORE DATE_AFTER DATE_ON_OR_BEFORE DATE_ON_OR_AFTER DATE_BETWEEN DATE_NOT_BETWEEN DATE_IS_VALID ONE_OF_RANGE ONE_OF_LIST BLANK NOT_BLANK CUSTOM_FORMULA BOOLEAN TEXT_NOT_EQ DATE_NOT_EQ FILTER_EXPRESSION
RelativeDate PAST_YEAR PAST_MONTH PAST_WEEK YESTERDAY TODAY TOMORROW
InterpolationPointType MIN MAX NUMBER PERCENT PERCENTILE
DeveloperMetadataVisibility DOCUMENT PROJECT
DeveloperMetadataLocationType ROW COLUMN SHEET SPREADSHEET
DeveloperMetadataLocationMatchingStrategy EXACT_LOCATION INTERSECTING_LOCATION
ValueRenderOption FORMATTED_VALUE UNFORMATTED_VALUE FORMULA
DateTimeRenderOption SERIAL_NUMBER FORMATTED_STRING
ValueInputOption RAW USER_ENTERED
"""  # noqa: E501

# What a value that is not set is called: it may be sent, and means nothing. An enum that is not
# named here has none: its first value is its default.
UNSET: Final = {
    "Dimension": "DIMENSION_UNSPECIFIED",
    "SortOrder": "SORT_ORDER_UNSPECIFIED",
    "SheetType": "SHEET_TYPE_UNSPECIFIED",
    "RecalculationInterval": "RECALCULATION_INTERVAL_UNSPECIFIED",
    "ThemeColorType": "THEME_COLOR_TYPE_UNSPECIFIED",
    "ErrorType": "ERROR_TYPE_UNSPECIFIED",
    "HorizontalAlign": "HORIZONTAL_ALIGN_UNSPECIFIED",
    "VerticalAlign": "VERTICAL_ALIGN_UNSPECIFIED",
    "WrapStrategy": "WRAP_STRATEGY_UNSPECIFIED",
    "TextDirection": "TEXT_DIRECTION_UNSPECIFIED",
    "HyperlinkDisplayType": "HYPERLINK_DISPLAY_TYPE_UNSPECIFIED",
    "NumberFormatType": "NUMBER_FORMAT_TYPE_UNSPECIFIED",
    "Style": "STYLE_UNSPECIFIED",
    "ConditionType": "CONDITION_TYPE_UNSPECIFIED",
    "RelativeDate": "RELATIVE_DATE_UNSPECIFIED",
    "InterpolationPointType": "INTERPOLATION_POINT_TYPE_UNSPECIFIED",
    "DelimiterType": "DELIMITER_TYPE_UNSPECIFIED",
    "DeveloperMetadataVisibility": "DEVELOPER_METADATA_VISIBILITY_UNSPECIFIED",
    "DeveloperMetadataLocationType": "DEVELOPER_METADATA_LOCATION_TYPE_UNSPECIFIED",
    "DeveloperMetadataLocationMatchingStrategy": (
        "DEVELOPER_METADATA_LOCATION_MATCHING_STRATEGY_UNSPECIFIED"
    ),
    "ValueInputOption": "INPUT_VALUE_OPTION_UNSPECIFIED",
}

# Enums and messages that are declared inside another message, as error answers name them.
_INSIDE: Final = {
    "RecalculationInterval": "SpreadsheetProperties.RecalculationInterval",
    "WrapStrategy": "CellFormat.WrapStrategy",
    "NumberFormatType": "NumberFormat.NumberFormatType",
    "Style": "Border.Style",
    "MergeType": "MergeCellsRequest.MergeType",
    "DelimiterType": "TextToColumnsRequest.DelimiterType",
    "RelativeDate": "ConditionValue.RelativeDate",
    "ErrorType": "ErrorValue.ErrorType",
    "Request": "BatchUpdateSpreadsheetRequest.Request",
}

# Of these fields one may be set; `oneof` names the choice in Google's answer.
ONEOFS: Final = {
    "Request": ("kind", None),
    "ExtendedValue": ("value", None),
    "ColorStyle": ("kind", None),
    "FindReplaceRequest": ("scope", ("range", "sheetId", "allSheets")),
    "UpdateCellsRequest": ("area", ("start", "range")),
    "ConditionalFormatRule": ("rule", ("booleanRule", "gradientRule")),
    "DataFilter": ("filter", None),
    "DeveloperMetadataLocation": ("location", ("spreadsheet", "sheetId", "dimensionRange")),
    "PasteDataRequest": ("kind", ("delimiter", "html")),
    "TextRotation": ("type", None),
    "AutoFillRequest": ("area", ("range", "sourceAndDestination")),
}


@dataclass(frozen=True, slots=True)
class Field:
    kind: str
    repeated: bool = False
    mapped: bool = False
    presence: bool = False


def _field(spelled: str) -> tuple[str, Field]:
    name, kind = spelled.split("=")
    bare = kind.rstrip("*?%")
    return name, Field(bare, "*" in kind, "%" in kind, "?" in kind)


def _table() -> dict[str, dict[str, Field]]:
    table = {}
    for line in _MESSAGES.split("\n"):
        if line:
            name, *fields = line.split(" ")
            table[name] = dict(map(_field, fields))
    requests = [n for n in table if n.endswith("Request")]
    table["Request"] = {
        n[0].lower() + n.removesuffix("Request")[1:]: Field(n)
        for n in requests[1:]
        if n.split("By")[0] not in _NOT_UPDATES
    }
    return table


_NOT_UPDATES: Final = {
    "SearchDeveloperMetadataRequest",
    "GetSpreadsheet",
    "BatchGetValues",
    "BatchClearValues",
    "BatchUpdateValues",
    "CopySheetToAnotherSpreadsheetRequest",
}

MESSAGES: Final = _table()
ENUMS: Final = {n: tuple(v) for n, *v in (line.split(" ") for line in _ENUMS.split("\n") if line)}


def type_name(kind: str) -> str:
    """A message's or an enum's full name, as Google's answers to wrong values spell it."""
    return f"type.googleapis.com/google.apps.sheets.v4.{_INSIDE.get(kind, kind)}"
