from rest_framework.routers import SimpleRouter

from crm.deals.api.views import DealViewSet, PipelineViewSet

router = SimpleRouter()
router.register("pipelines", PipelineViewSet, basename="pipelines")
router.register("deals", DealViewSet, basename="deals")
urlpatterns = router.urls
